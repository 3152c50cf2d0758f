"""What can go wrong, one class per kind, made from the `code` that the server tells."""

from collections.abc import Mapping
from typing import Any, Final


class ParleyError(Exception):
    """A refusal by the server, or a failure to reach it.

    `code` is stable (such as `NOT_A_MEMBER`), `message` is for developers. `retryable`: the very same call
    may succeed later; `retry_after_ms` is 0 when it is not known when.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after_ms: int = 0) -> None:
        super().__init__(f"{message} ({code})")
        self.code: Final = code
        self.message: Final = message
        self.retryable: Final = retryable
        self.retry_after_ms: Final = retry_after_ms


class InputError(ParleyError):
    """The call itself is wrong and stays wrong."""


class TokenError(ParleyError):
    """The token is missing, expired, revoked or not accepted."""


class PermissionDeniedError(ParleyError):
    """The user may not do this, or is no member of the chat."""


class NotFoundError(ParleyError):
    """What the call names does not exist."""


class ConflictError(ParleyError):
    """The state of the chat does not allow it."""


class BusyError(ParleyError):
    """Too much at once; later it works."""


class UnavailableError(ParleyError):
    """The server, or something behind it, cannot do it now."""


class UnreachableError(UnavailableError):
    """The server itself could not be reached or did not answer. The call may have had its effect."""

    def __init__(self, message: str) -> None:
        super().__init__("UNREACHABLE", message, retryable=True)


class ClientClosedError(ParleyError):
    """The program has left the client."""

    def __init__(self) -> None:
        super().__init__("CLIENT_CLOSED", "the client was closed")


class TokenSourceError(TokenError):
    """The program's own token function failed, by the error that is the cause of this one."""

    def __init__(self, error: BaseException) -> None:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        super().__init__("TOKEN_SOURCE_FAILED", f"the token function raised {what}", retryable=True)


class ClientDefectError(ParleyError):
    """This client has a defect, which ended it; the cause of this error is what to report."""

    def __init__(self, error: Exception) -> None:
        super().__init__("CLIENT_DEFECT", f"the client failed by {type(error).__name__}: {error}")


class SessionEndedError(ParleyError):
    """The server closed the connection for good; `close_code` says why (docs/websocket-protocol.md)."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(
            "SESSION_ENDED", f"the server closed the connection: {reason or 'no reason'} [{close_code}]"
        )
        self.close_code: Final = close_code


_CLASSES: Final[Mapping[type[ParleyError], tuple[str, ...]]] = {
    InputError: (
        "INVALID_ARGUMENT",
        "MALFORMED_FRAME",
        "UNKNOWN_EVENT",
        "INVALID_CONTENT",
        "TOO_LARGE",
        "METHOD_NOT_ALLOWED",
    ),
    TokenError: ("INVALID_TOKEN", "TOKEN_EXPIRED", "SESSION_REVOKED"),
    PermissionDeniedError: ("PERMISSION_DENIED", "NOT_A_MEMBER", "NOT_AN_ADMIN"),
    NotFoundError: (
        "MESSAGE_NOT_FOUND",
        "CHAT_NOT_FOUND",
        "NOT_FOUND",
        "DEVICE_NOT_FOUND",
        "SUBSCRIPTION_NOT_FOUND",
        "DELIVERY_NOT_FOUND",
    ),
    ConflictError: ("WRONG_CHAT_TYPE", "DUPLICATE_CONFLICT", "LAST_ADMIN", "CHAT_FULL", "TOO_MANY_GROUPS"),
    BusyError: ("RATE_LIMITED", "TOO_MANY_CONNECTIONS", "OVERLOADED"),
    UnavailableError: ("UNAVAILABLE", "DEADLINE_EXCEEDED", "DRAINING"),
}
_CLASS_OF: Final = {code: kind for kind, codes in _CLASSES.items() for code in codes}


def error_from(data: Mapping[str, Any]) -> ParleyError:
    """The error that `{"code", "message", "retryable", "retryAfterMs"}` tells."""
    code = str(data.get("code", "INTERNAL"))
    return _CLASS_OF.get(code, ParleyError)(
        code,
        str(data.get("message", "no details")),
        retryable=bool(data.get("retryable")),
        retry_after_ms=int(data.get("retryAfterMs") or 0),
    )
