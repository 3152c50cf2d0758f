# ruff: noqa: N818 - the categories carry the names of the gRPC status codes
"""The errors that cross a boundary: one class per category, one table from reason to category.

A service raises ``NotFound(ErrorReason.ERROR_REASON_CHAT_NOT_FOUND, "...")`` or a subclass of its own. The
RPC server turns it into a gRPC status, a batch into an ``ItemError``, the edge into a client error, and back,
always through this table. The message is for developers and reaches clients: no message content, tokens, or
ids of others.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import grpc

from parley.common.v1 import error_pb2
from parley.common.v1.error_pb2 import ErrorReason

_PREFIX = "ERROR_REASON_"
_MESSAGE_LIMIT = 500  # characters, as ItemError.message documents


class ParleyError(Exception):
    """An expected failure with a stable reason.

    ``retry_after_ms`` is 0 when it is not known. ``dependency`` names the server or service that could not be
    reached, if that is the cause.
    """

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str,
        *,
        retry_after_ms: int = 0,
        dependency: str = "",
    ) -> None:
        if not isinstance(self, CATEGORY_OF[reason]):
            raise TypeError(f"{ErrorReason.Name(reason)} is not a {type(self).__name__}")
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message[:_MESSAGE_LIMIT]
        self.retry_after_ms: Final = retry_after_ms
        self.dependency: Final = dependency

    @property
    def code(self) -> str:
        """What clients see: the reason's name without its prefix, such as ``NOT_A_MEMBER``."""
        return code_of(self.reason)


class InvalidArgument(ParleyError):
    """The input is wrong and stays wrong."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class Unauthenticated(ParleyError):
    """Who is calling is not proved."""

    status = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(ParleyError):
    """The caller is known and may not do this."""

    status = grpc.StatusCode.PERMISSION_DENIED


class NotFound(ParleyError):
    """What the call names does not exist."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ParleyError):
    """Something else already has this identity."""

    status = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(ParleyError):
    """The state of the thing does not allow the action."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(ParleyError):
    """A limit is reached; later it may not be."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    retryable = True


class Unavailable(ParleyError):
    """Something that this needs cannot be reached now. Nothing is known about the action's effect."""

    status = grpc.StatusCode.UNAVAILABLE
    retryable = True


class DeadlineExceeded(Unavailable):
    """The answer did not come in time; the action may have happened."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED


class Internal(ParleyError):
    """A defect. The details are in the log, never in the message."""


CATEGORY_OF: Final[Mapping[ErrorReason.ValueType, type[ParleyError]]] = MappingProxyType(
    {
        ErrorReason.ERROR_REASON_INVALID_ARGUMENT: InvalidArgument,
        ErrorReason.ERROR_REASON_MALFORMED_FRAME: InvalidArgument,
        ErrorReason.ERROR_REASON_UNKNOWN_EVENT: InvalidArgument,
        ErrorReason.ERROR_REASON_INVALID_CONTENT: InvalidArgument,
        ErrorReason.ERROR_REASON_TOO_LARGE: InvalidArgument,
        ErrorReason.ERROR_REASON_METHOD_NOT_ALLOWED: InvalidArgument,
        ErrorReason.ERROR_REASON_INVALID_TOKEN: Unauthenticated,
        ErrorReason.ERROR_REASON_TOKEN_EXPIRED: Unauthenticated,
        ErrorReason.ERROR_REASON_SESSION_REVOKED: Unauthenticated,
        ErrorReason.ERROR_REASON_PERMISSION_DENIED: PermissionDenied,
        ErrorReason.ERROR_REASON_NOT_A_MEMBER: PermissionDenied,
        ErrorReason.ERROR_REASON_NOT_AN_ADMIN: PermissionDenied,
        ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND: NotFound,
        ErrorReason.ERROR_REASON_CHAT_NOT_FOUND: NotFound,
        ErrorReason.ERROR_REASON_NOT_FOUND: NotFound,
        ErrorReason.ERROR_REASON_DEVICE_NOT_FOUND: NotFound,
        ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND: NotFound,
        ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND: NotFound,
        ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE: FailedPrecondition,
        ErrorReason.ERROR_REASON_DUPLICATE_CONFLICT: AlreadyExists,
        ErrorReason.ERROR_REASON_LAST_ADMIN: FailedPrecondition,
        ErrorReason.ERROR_REASON_CHAT_FULL: FailedPrecondition,
        ErrorReason.ERROR_REASON_TOO_MANY_GROUPS: FailedPrecondition,
        ErrorReason.ERROR_REASON_RATE_LIMITED: ResourceExhausted,
        ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS: ResourceExhausted,
        ErrorReason.ERROR_REASON_OVERLOADED: ResourceExhausted,
        ErrorReason.ERROR_REASON_UNAVAILABLE: Unavailable,
        ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED: DeadlineExceeded,
        ErrorReason.ERROR_REASON_DRAINING: Unavailable,
        ErrorReason.ERROR_REASON_INTERNAL: Internal,
    }
)
"""The category, hence the gRPC status and whether a retry makes sense, of every reason but UNSPECIFIED."""


def error_for(
    reason: ErrorReason.ValueType, message: str, *, retry_after_ms: int = 0, dependency: str = ""
) -> ParleyError:
    """The error of the category that ``reason`` belongs to; ``Internal`` for a reason this version lacks."""
    category = CATEGORY_OF.get(reason)
    if category is None:
        return Internal(ErrorReason.ERROR_REASON_INTERNAL, message)
    return category(reason, message, retry_after_ms=retry_after_ms, dependency=dependency)


def unavailable(dependency: str, message: str = "", *, retry_after_ms: int = 0) -> Unavailable:
    """An ``Unavailable`` that names what cannot be reached, such as ``redis`` or ``persist``."""
    return Unavailable(
        ErrorReason.ERROR_REASON_UNAVAILABLE,
        message or f"{dependency} cannot be reached now",
        retry_after_ms=retry_after_ms,
        dependency=dependency,
    )


def code_of(reason: ErrorReason.ValueType) -> str:
    """The client's name of a reason: ``NOT_A_MEMBER``."""
    return ErrorReason.Name(reason).removeprefix(_PREFIX)


def reason_of(code: str) -> ErrorReason.ValueType:
    """The reason with that client name, or UNSPECIFIED for a name that this version lacks."""
    try:
        return ErrorReason.Value(_PREFIX + code)
    except ValueError:
        return ErrorReason.ERROR_REASON_UNSPECIFIED


def to_item_error(error: ParleyError) -> error_pb2.ItemError:
    """The failure of one item of a batch."""
    return error_pb2.ItemError(
        reason=error.reason, message=error.message, retry_after_ms=max(0, error.retry_after_ms)
    )


def from_item_error(item: error_pb2.ItemError) -> ParleyError:
    """The error that ``to_item_error`` was given."""
    return error_for(item.reason, item.message, retry_after_ms=item.retry_after_ms)
