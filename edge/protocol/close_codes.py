"""Every code that the edge closes a WebSocket with, and what the client should do about it.

Codes below 4000 mean what RFC 6455 section 7.4.1 and the IANA registry say. `docs/websocket-protocol.md`
shows this table to the authors of clients.
"""

from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final, Self

from mesh.errors import ParleyError
from parley.common.v1.error_pb2 import ErrorReason


class Reconnect(Enum):
    """Whether coming back makes sense."""

    YES = "at once, with jitter, and resume"
    LATER = "after a growing wait, and resume"
    NO = "not before something was changed"


class CloseCode(IntEnum):
    """A close code with its advice, and the reason sent along: at most 123 bytes (RFC 6455 section 5.5)."""

    reconnect: Reconnect
    reason: str

    def __new__(cls, code: int, reconnect: Reconnect, reason: str) -> Self:
        """Makes the number the value, and the rest attributes."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.reconnect = reconnect
        member.reason = reason
        return member

    NORMAL = 1000, Reconnect.NO, "closed by the client"
    GOING_AWAY = 1001, Reconnect.YES, "this edge is going away; another one serves you"
    PROTOCOL_ERROR = 1002, Reconnect.NO, "the bytes break RFC 6455"
    UNSUPPORTED_DATA = 1003, Reconnect.NO, "binary message where text is due"
    INVALID_UTF8 = 1007, Reconnect.NO, "a text message is not valid UTF-8"
    TOO_BIG = 1009, Reconnect.NO, "a message is larger than the limit"
    INTERNAL_ERROR = 1011, Reconnect.LATER, "a defect in this server"
    TRY_AGAIN_LATER = 1013, Reconnect.LATER, "the session cannot be opened now"
    FLOOD = 4008, Reconnect.LATER, "far too many frames or bytes"
    SLOW_CONSUMER = 4009, Reconnect.YES, "you read too slowly; resume by seq"
    TOO_MANY_CONNECTIONS = 4029, Reconnect.LATER, "this user has too many connections"
    TOKEN_REFUSED = 4401, Reconnect.NO, "the token has expired or is no good; come back with another"
    REFUSED = 4403, Reconnect.NO, "the session was refused"
    SESSION_REVOKED = 4410, Reconnect.NO, "the session was revoked"


_OF_REASON: Final = MappingProxyType(
    {
        ErrorReason.ERROR_REASON_INVALID_TOKEN: CloseCode.TOKEN_REFUSED,
        ErrorReason.ERROR_REASON_TOKEN_EXPIRED: CloseCode.TOKEN_REFUSED,
        ErrorReason.ERROR_REASON_SESSION_REVOKED: CloseCode.SESSION_REVOKED,
        ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS: CloseCode.TOO_MANY_CONNECTIONS,
        ErrorReason.ERROR_REASON_INTERNAL: CloseCode.INTERNAL_ERROR,
    }
)


def close_code_of(error: ParleyError) -> CloseCode:
    """The code that refuses a session because of `error`."""
    return _OF_REASON.get(error.reason, CloseCode.TRY_AGAIN_LATER if error.retryable else CloseCode.REFUSED)
