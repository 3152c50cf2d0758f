import pytest

from mesh.errors import InvalidArgument
from notify_service.webhooks.event import HookEvent, HookEventType
from notify_service.webhooks.subscription import (
    SECRET_OVERLAP_MS,
    HookKey,
    SigningSecret,
    Subscription,
    SubscriptionSpec,
    check_spec,
)
from parley.events.v1.chat_event_pb2 import ChatEvent

CHAT = "65f1a0b2c3d4e5f60718293a"
OTHER_CHAT = "65f1a0b2c3d4e5f60718293c"
URL = "https://hooks.example/in"
EVENT = HookEvent(
    ChatEvent(chat_id=CHAT, epoch=1, seq=1, number=1), HookEventType.MESSAGE_CREATED, actor_id="alice"
)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (SubscriptionSpec(URL), True),
        (SubscriptionSpec(URL, enabled=False), False),
        (SubscriptionSpec(URL, types=frozenset({HookEventType.MESSAGE_CREATED})), True),
        (SubscriptionSpec(URL, types=frozenset({HookEventType.CHAT_UPDATED})), False),
        (SubscriptionSpec(URL, chat_ids=frozenset({OTHER_CHAT, CHAT})), True),
        (SubscriptionSpec(URL, chat_ids=frozenset({OTHER_CHAT})), False),
        (SubscriptionSpec(URL, actor_ids=frozenset({"alice"})), True),
        (SubscriptionSpec(URL, actor_ids=frozenset({"bob"})), False),
        # All of the filters must let it pass.
        (SubscriptionSpec(URL, chat_ids=frozenset({CHAT}), actor_ids=frozenset({"bob"})), False),
    ],
)
def test_filters(spec: SubscriptionSpec, wanted: bool) -> None:  # noqa: FBT001 - a column of the table
    assert spec.wants(EVENT) is wanted


def subscription(*secrets: tuple[str, int]) -> Subscription:
    return Subscription(
        id="a",
        spec=SubscriptionSpec(URL),
        secrets=tuple(SigningSecret(*pair) for pair in secrets),
        created_at_ms=0,
        updated_at_ms=0,
    )


def test_the_newest_secret_signs_for_ever() -> None:
    assert subscription(("one", 1000)).signing_secrets(10**15) == ["one"]


def test_a_replaced_secret_signs_for_a_day_more() -> None:
    rotated = subscription(("two", 5000), ("one", 1000))
    assert rotated.signing_secrets(5000) == ["two", "one"]
    assert rotated.signing_secrets(5000 + SECRET_OVERLAP_MS - 1) == ["two", "one"]
    assert rotated.signing_secrets(5000 + SECRET_OVERLAP_MS) == ["two"]


def test_each_secret_counts_from_the_one_that_replaced_it() -> None:
    rotated = subscription(("three", 9000), ("two", 5000), ("one", 1000))
    assert rotated.signing_secrets(5000 + SECRET_OVERLAP_MS) == ["three", "two"]


def test_a_secret_is_not_shown_by_repr() -> None:
    assert "hidden" not in repr(subscription(("hidden", 1000)))


@pytest.mark.parametrize("text", ["", "hook:a:b:c", "hook:a:b:x:message.created", "hook:a:b:1:nothing"])
def test_a_text_that_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        HookKey.parse(text)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (SubscriptionSpec(""), "spec.url"),
        (SubscriptionSpec("https://" + "x" * 2041), "spec.url"),
        (SubscriptionSpec(URL, label="x" * 101), "spec.label"),
        (SubscriptionSpec(URL, chat_ids=frozenset({"no-id"})), "spec.chat_ids"),
        (SubscriptionSpec(URL, chat_ids=frozenset(f"{i:024x}" for i in range(101))), "spec.chat_ids"),
        (SubscriptionSpec(URL, actor_ids=frozenset(map(str, range(101)))), "spec.actor_ids"),
        (SubscriptionSpec(URL, actor_ids=frozenset({""})), "spec.actor_ids"),
        (SubscriptionSpec(URL, actor_ids=frozenset({"x" * 129})), "spec.actor_ids"),
    ],
)
def test_a_broken_limit_is_told_by_its_field(spec: SubscriptionSpec, field: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{field}:"):
        check_spec(spec)
