"""``ParleyError`` <-> gRPC rich status (google.rpc.Status with ErrorInfo and RetryInfo in the trailers)."""

from typing import Final

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # published without a marker

from mesh.errors import DeadlineExceeded, Internal, ParleyError, code_of, error_for, reason_of, unavailable
from parley.common.v1.error_pb2 import ErrorReason

ERROR_DOMAIN: Final = "parley"
STATUS_TRAILER: Final = "grpc-status-details-bin"

_BY_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: ErrorReason.ERROR_REASON_INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE: ErrorReason.ERROR_REASON_INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND: ErrorReason.ERROR_REASON_NOT_FOUND,
    # gRPC itself answers RESOURCE_EXHAUSTED to a message that is over the size limit: it never fits.
    grpc.StatusCode.RESOURCE_EXHAUSTED: ErrorReason.ERROR_REASON_TOO_LARGE,
}
"""Of statuses without details: of gRPC itself, of a proxy on the way, or of a callee that is not Parley's."""


def to_status(error: ParleyError) -> status_pb2.Status:
    """The rich status of an error."""
    info = error_details_pb2.ErrorInfo(reason=code_of(error.reason), domain=ERROR_DOMAIN)
    if error.dependency:
        info.metadata["dependency"] = error.dependency
    status = status_pb2.Status(code=error.status.value[0], message=error.message, details=[_pack(info)])
    if error.retry_after_ms > 0:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(error.retry_after_ms)
        status.details.append(_pack(retry))
    return status


# Users' tokens are checked at the edge, so between services these speak of the caller's own token: nothing
# that a user did, and nothing that a user can mend by another token.
_OF_SERVICE_TOKENS: Final = frozenset(
    {ErrorReason.ERROR_REASON_INVALID_TOKEN, ErrorReason.ERROR_REASON_TOKEN_EXPIRED}
)


def from_rpc_error(error: grpc.aio.AioRpcError, callee: str) -> ParleyError:
    """The error that the other side raised, or what gRPC's own failure means to a caller of ``callee``."""
    trailers = error.trailing_metadata() or ()
    details = next((value for key, value in trailers if key == STATUS_TRAILER), None)
    if isinstance(details, bytes):
        rich = _from_details(details)
        if rich is not None:
            return _as_users_may_hear_it(rich, callee)
    return _from_plain(error, callee)


def _as_users_may_hear_it(error: ParleyError, callee: str) -> ParleyError:
    if error.reason in _OF_SERVICE_TOKENS:
        return _refused(callee)
    if error.reason == ErrorReason.ERROR_REASON_PERMISSION_DENIED:
        # The callee's access table, which is in its log: a fault of the deployment, not of a user.
        return unavailable(callee, f"{callee} does not take this call from this service")
    return error


def _refused(callee: str) -> ParleyError:
    why = "check clocks, secrets and certificates"
    return unavailable(callee, f"{callee} refuses this service's token: {why}")


def _from_details(details: bytes) -> ParleyError | None:
    try:
        status = status_pb2.Status.FromString(details)
    except DecodeError:
        return None
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        # Unpack is true only for the detail of its own type.
        detail.Unpack(info)
        detail.Unpack(retry)
    reason = reason_of(info.reason) if info.domain == ERROR_DOMAIN else ErrorReason.ERROR_REASON_UNSPECIFIED
    if reason == ErrorReason.ERROR_REASON_UNSPECIFIED:
        return None
    return error_for(
        reason,
        status.message,
        retry_after_ms=retry.retry_delay.ToMilliseconds(),
        dependency=info.metadata.get("dependency", ""),
    )


def _from_plain(error: grpc.aio.AioRpcError, callee: str) -> ParleyError:
    match error.code():
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            # CANCELLED without our own cancellation: the server went away in the middle of the call.
            return unavailable(callee)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(
                ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
                f"{callee} did not answer in time",
                dependency=callee,
            )
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return _refused(callee)
        case code:
            # Not `error.details()`: these are a library's words, and what is said here reaches clients.
            reason = _BY_STATUS.get(code)
            if reason is None:
                return Internal(ErrorReason.ERROR_REASON_INTERNAL, f"{callee} failed with {code.name}")
            if reason == ErrorReason.ERROR_REASON_TOO_LARGE:
                return error_for(reason, f"too large for {callee}, or its answer is")
            return error_for(reason, f"{callee} refused the call with {code.name}")


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
