"""What APNs' refusals mean. Pure.

The reasons are those of Apple's "Handling notification responses from APNs".
"""

from http import HTTPStatus
from typing import Final

import msgspec

from notify_service.domain.device import Device
from notify_service.ports import (
    SendDelayedError,
    SendError,
    SendRefusedError,
    TargetGoneError,
    TargetUnknownError,
)
from notify_service.providers.answers import decode, quote
from notify_service.providers.http import Answer, retry_after_seconds

_GONE: Final = frozenset({"ExpiredToken", "Unregistered"})
_UNKNOWN: Final = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
"""Also what every device meets where the settings name the wrong environment or topic."""
_EXPIRED: Final = "ExpiredProviderToken"
_OF_THE_REQUEST: Final = frozenset(
    {
        "BadCollapseId",
        "BadExpirationDate",
        "BadMessageId",
        "BadPriority",
        "DuplicateHeaders",
        "InvalidPushType",
        "MissingDeviceToken",
        "PayloadEmpty",
        "PayloadTooLarge",
    }
)
"""What one message is refused for, for good."""
_OF_THE_OPERATOR: Final = frozenset({"BadTopic", "MissingTopic", "TopicDisallowed"})
"""What any message meets until the settings are put right, though APNs says 400."""
_OF_THE_DEVICE: Final = "TooManyRequests"
"""Too many pushes to this device, which says nothing about others."""


class _Body(msgspec.Struct):
    reason: str
    timestamp: int = 0
    """With status 410: when the token stopped to be valid, Unix milliseconds."""


def is_provider_token_expired(answer: Answer) -> bool:
    """Whether the token that proves who we are is too old."""
    body = decode(answer.body, _Body)
    return body is not None and body.reason == _EXPIRED


def apns_error(answer: Answer, device: Device) -> SendError:
    """What an answer other than success means for this device.

    A device is gone only by Apple's own answer: a proxy's 410 says nothing about it.
    """
    body = decode(answer.body, _Body)
    retry_after = retry_after_seconds(answer.headers)
    if body is None:
        return SendDelayedError(quote(answer.detail, device.address), retry_after_seconds=retry_after)
    detail = quote(f"HTTP {answer.status}: {body.reason}", device.address)
    if body.reason in _UNKNOWN:
        return TargetUnknownError(detail)
    if body.reason in _GONE:
        if answer.status == HTTPStatus.GONE and body.timestamp < device.refreshed_at_ms and body.timestamp:
            # The app registered again since, and APNs may not know everywhere yet.
            return SendDelayedError(f"{detail}, before it was registered again", provider_down=False)
        return TargetGoneError(detail)
    if body.reason in _OF_THE_REQUEST:
        return SendRefusedError(detail)
    of_all = body.reason in _OF_THE_OPERATOR or (
        answer.status != HTTPStatus.BAD_REQUEST and body.reason != _OF_THE_DEVICE
    )
    return SendDelayedError(detail, retry_after_seconds=retry_after, provider_down=of_all)
