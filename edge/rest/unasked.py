"""The answer to a connection that is refused before it has asked anything."""

import math
from http import HTTPStatus

import msgspec

from edge.protocol.shapes import error_json
from edge.rest.bodies import ErrorAnswer
from edge.rest.errors import STATUS_OF
from mesh.errors import ParleyError


def unasked_answer(failure: ParleyError) -> bytes:
    """An error with its head, as a client reads it in answer to the request that it sends first."""
    body = msgspec.json.encode(ErrorAnswer(error=error_json(failure)))
    status = HTTPStatus(STATUS_OF[failure.reason])
    lines = (
        f"HTTP/1.1 {status} {status.phrase}",
        "Content-Type: application/json; charset=utf-8",
        "Cache-Control: no-store",
        f"Retry-After: {math.ceil(failure.retry_after_ms / 1000)}",
        "Connection: close",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
