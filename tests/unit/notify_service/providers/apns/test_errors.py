import pytest

from notify_service.domain.device import Device, DeviceKind
from notify_service.ports import (
    SendDelayedError,
    SendError,
    SendRefusedError,
    TargetGoneError,
    TargetUnknownError,
)
from notify_service.providers.apns.errors import apns_error, is_provider_token_expired
from notify_service.providers.http import Answer
from tests.support.providers.apns_server import refusal
from tests.support.providers.http2_server import Reply

DEVICE = Device(
    id="1" * 24,
    user_id="bob",
    kind=DeviceKind.APNS,
    address="ab" * 32,
    label="phone",
    created_at_ms=1_000,
    refreshed_at_ms=5_000,
)


def error_of(reply: Reply) -> SendError:
    return apns_error(Answer(reply.status, reply.headers, reply.body), DEVICE)


@pytest.mark.parametrize(
    ("status", "reason", "kind", "provider_down"),
    [
        (400, "BadDeviceToken", TargetUnknownError, None),
        (400, "DeviceTokenNotForTopic", TargetUnknownError, None),
        (410, "ExpiredToken", TargetGoneError, None),
        (410, "Unregistered", TargetGoneError, None),
        (400, "BadCollapseId", SendRefusedError, None),
        (400, "BadExpirationDate", SendRefusedError, None),
        (400, "BadMessageId", SendRefusedError, None),
        (400, "BadPriority", SendRefusedError, None),
        (400, "DuplicateHeaders", SendRefusedError, None),
        (400, "InvalidPushType", SendRefusedError, None),
        (400, "MissingDeviceToken", SendRefusedError, None),
        (400, "PayloadEmpty", SendRefusedError, None),
        (413, "PayloadTooLarge", SendRefusedError, None),
        (400, "BadTopic", SendDelayedError, True),
        (400, "MissingTopic", SendDelayedError, True),
        (400, "TopicDisallowed", SendDelayedError, True),
        (400, "IdleTimeout", SendDelayedError, False),
        (400, "SomethingNew", SendDelayedError, False),
        (403, "ExpiredProviderToken", SendDelayedError, True),
        (403, "InvalidProviderToken", SendDelayedError, True),
        (403, "MissingProviderToken", SendDelayedError, True),
        (403, "Forbidden", SendDelayedError, True),
        (404, "BadPath", SendDelayedError, True),
        (405, "MethodNotAllowed", SendDelayedError, True),
        (429, "TooManyProviderTokenUpdates", SendDelayedError, True),
        (429, "TooManyRequests", SendDelayedError, False),
        (500, "InternalServerError", SendDelayedError, True),
        (503, "ServiceUnavailable", SendDelayedError, True),
        (503, "Shutdown", SendDelayedError, True),
    ],
)
def test_what_each_reason_means(
    *, status: int, reason: str, kind: type[SendError], provider_down: bool | None
) -> None:
    error = error_of(refusal(status, reason))

    assert type(error) is kind
    assert getattr(error, "provider_down", None) is provider_down
    assert str(error) == f"HTTP {status}: {reason}"


@pytest.mark.parametrize(("since", "gone"), [(4_999, False), (5_000, True), (5_001, True)])
def test_a_device_that_registered_again_since_is_not_gone(*, since: int, gone: bool) -> None:
    error = error_of(refusal(410, "Unregistered", timestamp=since))

    assert isinstance(error, TargetGoneError if gone else SendDelayedError)
    assert getattr(error, "provider_down", False) is False


def test_the_wait_that_apns_asks_for_is_passed_on() -> None:
    reply = refusal(503, "ServiceUnavailable")
    error = error_of(Reply(503, reply.body, {"retry-after": "11"}))

    assert isinstance(error, SendDelayedError)
    assert error.retry_after_seconds == 11


def test_the_device_token_is_not_repeated() -> None:
    assert str(error_of(Reply(400, f"no {DEVICE.address}".encode()))) == "HTTP 400: no [...]"


@pytest.mark.parametrize(
    ("reply", "expired"),
    [
        (refusal(403, "ExpiredProviderToken"), True),
        (refusal(403, "InvalidProviderToken"), False),
        (Reply(403, b"ExpiredProviderToken"), False),
        (Reply(200), False),
    ],
)
def test_when_the_provider_token_is_too_old(*, reply: Reply, expired: bool) -> None:
    assert is_provider_token_expired(Answer(reply.status, reply.headers, reply.body)) is expired
