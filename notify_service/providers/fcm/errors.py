"""What Firebase's refusals mean. Pure.

The codes are those of https://firebase.google.com/docs/cloud-messaging/error-codes.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from notify_service.ports import (
    SendDelayedError,
    SendError,
    SendRefusedError,
    TargetGoneError,
    TargetUnknownError,
)
from notify_service.providers.answers import decode, quote
from notify_service.providers.http import Answer, retry_after_seconds

_QUOTA_SECONDS: Final = 60.0
"""How long Firebase wants everybody to wait when a quota is used up and it gives no time."""
_GONE: Final = "UNREGISTERED"
_UNKNOWN: Final = "SENDER_ID_MISMATCH"
"""Also what every device meets where the settings name the wrong project."""
_QUOTA: Final = frozenset({"QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"})
_OF_THE_REQUEST: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
"""What one message is refused for, for good. Other statuses blame the credentials, the project, Firebase."""
_THIRD_PARTY: Final = "THIRD_PARTY_AUTH_ERROR"


class _Violation(msgspec.Struct):
    field: str = ""
    description: str = ""
    subject: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    error_code: str = ""
    field_violations: list[_Violation] = []
    violations: list[_Violation] = []


class _Status(msgspec.Struct):
    message: str = ""
    status: str = ""
    details: list[_Detail] = []

    @property
    def code(self) -> str:
        """Firebase's own code, or else the one that all of Google's services share."""
        return next((detail.error_code for detail in self.details if detail.error_code), self.status)


class _Body(msgspec.Struct):
    error: _Status


def is_access_refused(answer: Answer) -> bool:
    """Whether our access token was not accepted: it may have been revoked, and a new one may work."""
    status = _read(answer)
    return answer.status == HTTPStatus.UNAUTHORIZED and (status is None or status.code != _THIRD_PARTY)


def fcm_error(answer: Answer, token: str) -> SendError:
    """What an answer other than success means for the device with this registration token.

    A device is gone only by Firebase's own answer about its token: a proxy's 404 or a wrong project is the
    operator's to put right, and the device is as good as before.
    """
    status = _read(answer)
    retry_after = retry_after_seconds(answer.headers)
    if status is None:
        return SendDelayedError(quote(answer.detail, token), retry_after_seconds=retry_after)
    detail = quote(f"{status.code}: {status.message}", token)
    if status.code == _UNKNOWN:
        return TargetUnknownError(detail)
    if status.code == _GONE or _blames_the_token(status):
        return TargetGoneError(detail)
    if status.code in _QUOTA or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        retry_after = _QUOTA_SECONDS if retry_after is None else retry_after
        of_all = not _is_quota_of_a_device(status)
        return SendDelayedError(detail, retry_after_seconds=retry_after, provider_down=of_all)
    if answer.status in _OF_THE_REQUEST:
        return SendRefusedError(detail)
    # Firebase lacks the key for Apple or the web: it reaches Android devices of the project all the same.
    of_all = status.code != _THIRD_PARTY
    return SendDelayedError(detail, retry_after_seconds=retry_after, provider_down=of_all)


def _read(answer: Answer) -> _Status | None:
    """None when this is no answer of Firebase's."""
    body = decode(answer.body, _Body)
    return body.error if body is not None and body.error.code else None


def _blames_the_token(status: _Status) -> bool:
    if status.code != "INVALID_ARGUMENT":
        return False
    fields = (violation.field for detail in status.details for violation in detail.field_violations)
    return "registration token is not a valid" in status.message or "message.token" in fields


def _is_quota_of_a_device(status: _Status) -> bool:
    violations = [violation for detail in status.details for violation in detail.violations]
    return any("device" in f"{one.subject} {one.description}".lower() for one in violations)
