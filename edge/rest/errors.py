"""How errors look over HTTP: one table of statuses, one body."""

from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError

from edge.rest.field_names import as_clients_know_them
from mesh.errors import Internal, InvalidArgument, NotFound, ParleyError
from mesh.numbers import parse_number
from parley.common.v1.error_pb2 import ErrorReason

MAX_URL_BYTES: Final = 12 * 1024
"""A token of 8 KiB may stand in the URL of a handshake."""
MAX_HEADER_BYTES: Final = 16 * 1024
"""All headers together: a token, and what proxies add."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""What is read before it is judged. Beyond it the connection is cut."""

_TOO_LARGE: Final[dict[int, str]] = {
    HTTPStatus.REQUEST_URI_TOO_LONG: f"the URL has more than {MAX_URL_BYTES} bytes",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"the headers have more than {MAX_HEADER_BYTES} bytes",
}

SAFE_HEADERS: Final = MappingProxyType(
    {
        "Content-Type": "application/json; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }
)
"""Of every answer, unless a handler says otherwise."""

STATUS_OF: Final = MappingProxyType(
    {
        ErrorReason.ERROR_REASON_INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
        ErrorReason.ERROR_REASON_MALFORMED_FRAME: HTTPStatus.BAD_REQUEST,
        ErrorReason.ERROR_REASON_UNKNOWN_EVENT: HTTPStatus.BAD_REQUEST,
        ErrorReason.ERROR_REASON_INVALID_CONTENT: HTTPStatus.BAD_REQUEST,
        ErrorReason.ERROR_REASON_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ErrorReason.ERROR_REASON_METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
        ErrorReason.ERROR_REASON_INVALID_TOKEN: HTTPStatus.UNAUTHORIZED,
        ErrorReason.ERROR_REASON_TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
        ErrorReason.ERROR_REASON_SESSION_REVOKED: HTTPStatus.UNAUTHORIZED,
        ErrorReason.ERROR_REASON_PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
        ErrorReason.ERROR_REASON_NOT_A_MEMBER: HTTPStatus.FORBIDDEN,
        ErrorReason.ERROR_REASON_NOT_AN_ADMIN: HTTPStatus.FORBIDDEN,
        ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorReason.ERROR_REASON_CHAT_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorReason.ERROR_REASON_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorReason.ERROR_REASON_DEVICE_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ErrorReason.ERROR_REASON_WRONG_CHAT_TYPE: HTTPStatus.CONFLICT,
        ErrorReason.ERROR_REASON_DUPLICATE_CONFLICT: HTTPStatus.CONFLICT,
        ErrorReason.ERROR_REASON_LAST_ADMIN: HTTPStatus.CONFLICT,
        ErrorReason.ERROR_REASON_CHAT_FULL: HTTPStatus.CONFLICT,
        ErrorReason.ERROR_REASON_TOO_MANY_GROUPS: HTTPStatus.CONFLICT,
        ErrorReason.ERROR_REASON_RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
        ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS: HTTPStatus.TOO_MANY_REQUESTS,
        ErrorReason.ERROR_REASON_OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
        ErrorReason.ERROR_REASON_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
        ErrorReason.ERROR_REASON_DRAINING: HTTPStatus.SERVICE_UNAVAILABLE,
        ErrorReason.ERROR_REASON_INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The HTTP status of every reason."""


def invalid(message: str) -> InvalidArgument:
    """A part of the request is missing or wrong; ``message`` names it."""
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)


def malformed(message: str) -> InvalidArgument:
    """The request's text itself cannot be read."""
    return InvalidArgument(ErrorReason.ERROR_REASON_MALFORMED_FRAME, message)


def too_large(limit: int) -> InvalidArgument:
    """The body is over the limit (bytes)."""
    return InvalidArgument(ErrorReason.ERROR_REASON_TOO_LARGE, f"the body has more than {limit} bytes")


def check_head(request: HTTPServerRequest) -> None:
    """Refuses what is too long before the body of a request, or says of the body what cannot be read.

    Raises:
        HTTPError: 414, the URL; 431, the headers (RFC 6585 section 5).
        InvalidArgument: `Content-Length` is no number.
    """
    if len(request.uri or "") > MAX_URL_BYTES:
        raise HTTPError(HTTPStatus.REQUEST_URI_TOO_LONG)
    # As they were on the wire: ": " and the end of the line.
    if sum(len(name) + len(value) + 4 for name, value in request.headers.get_all()) > MAX_HEADER_BYTES:
        raise HTTPError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    announced_length(request)


def announced_length(request: HTTPServerRequest) -> int:
    """How many bytes the body has by its `Content-Length`; 0 where it does not say.

    Raises:
        InvalidArgument: what it says is no number.
    """
    text = request.headers.get("Content-Length")
    length = 0 if text is None else parse_number(text)
    if length is None:
        raise malformed("Content-Length must be one number")
    return length


def failure_of(error: BaseException | None, status: int, request_id: str) -> tuple[int, ParleyError]:
    """The status and error to answer with. ``status`` is Tornado's choice: its own refusals keep it."""
    if isinstance(error, InvalidArgument):
        error = as_clients_know_them(error)
    if isinstance(error, ParleyError):
        return STATUS_OF[error.reason], error
    if isinstance(error, HTTPError) and status in _TOO_LARGE:
        return status, InvalidArgument(ErrorReason.ERROR_REASON_TOO_LARGE, _TOO_LARGE[status])
    if isinstance(error, HTTPError) and status == HTTPStatus.METHOD_NOT_ALLOWED:
        return status, InvalidArgument(
            ErrorReason.ERROR_REASON_METHOD_NOT_ALLOWED, "this path does not have that method"
        )
    if isinstance(error, HTTPError) and status == HTTPStatus.NOT_FOUND:
        return status, NotFound(ErrorReason.ERROR_REASON_NOT_FOUND, "there is nothing at this path")
    if isinstance(error, HTTPError) and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return HTTPStatus.BAD_REQUEST, malformed("the request cannot be read: is the path valid UTF-8?")
    return HTTPStatus.INTERNAL_SERVER_ERROR, Internal(
        ErrorReason.ERROR_REASON_INTERNAL, f"internal error; request {request_id}"
    )
