import grpc
import pytest

from mesh import errors
from mesh.errors import CATEGORY_OF, Internal, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from parley.common.v1.error_pb2 import ErrorReason, ItemError

REASONS = [reason for reason in ErrorReason.values() if reason != ErrorReason.ERROR_REASON_UNSPECIFIED]


def test_every_reason_has_a_category_and_nothing_else_has() -> None:
    assert set(CATEGORY_OF) == set(REASONS)


@pytest.mark.parametrize("reason", REASONS, ids=ErrorReason.Name)
def test_every_reason_survives_a_batch_item(reason: ErrorReason.ValueType) -> None:
    error = errors.error_for(reason, "why", retry_after_ms=250)
    back = errors.from_item_error(ItemError.FromString(errors.to_item_error(error).SerializeToString()))
    assert (type(back), back.reason, back.message, back.retry_after_ms) == (type(error), reason, "why", 250)
    assert errors.reason_of(back.code) == reason


def test_the_code_is_the_name_without_its_prefix() -> None:
    error = errors.PermissionDenied(ErrorReason.ERROR_REASON_NOT_A_MEMBER, "not a member")
    assert error.code == "NOT_A_MEMBER"
    assert error.status is grpc.StatusCode.PERMISSION_DENIED
    assert not error.retryable


@pytest.mark.parametrize(
    ("category", "retryable"),
    [(ResourceExhausted, True), (Unavailable, True), (NotFound, False), (Internal, False)],
)
def test_which_categories_are_worth_a_retry(category: type[errors.ParleyError], retryable: bool) -> None:  # noqa: FBT001
    assert category.retryable is retryable


def test_a_reason_of_another_category_is_refused() -> None:
    with pytest.raises(TypeError, match="CHAT_NOT_FOUND"):
        InvalidArgument(ErrorReason.ERROR_REASON_CHAT_NOT_FOUND, "no")


def test_a_services_own_class_fits_below_its_category() -> None:
    class NoSuchChat(NotFound):
        def __init__(self) -> None:
            super().__init__(ErrorReason.ERROR_REASON_CHAT_NOT_FOUND, "no such chat")

    assert NoSuchChat().code == "CHAT_NOT_FOUND"


def test_a_reason_from_a_newer_version_is_an_internal_error() -> None:
    newer = ItemError.FromString(b"\x08\xe7\x07\x12\x03new")  # reason 999
    error = errors.from_item_error(newer)
    assert isinstance(error, Internal)
    assert error.message == "new"
    assert errors.reason_of("NEVER_HEARD_OF") == ErrorReason.ERROR_REASON_UNSPECIFIED


def test_an_outage_names_what_is_away() -> None:
    error = errors.unavailable("redis")
    assert (error.dependency, error.code, error.retryable) == ("redis", "UNAVAILABLE", True)
    assert "redis" in error.message


def test_a_message_is_cut_at_its_limit() -> None:
    error = errors.unavailable("redis", "x" * 2000)
    assert len(errors.to_item_error(error).message) == 500
