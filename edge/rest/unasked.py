"""Answers to requests that no handler sees: those without a place, and those that cannot be parsed."""

import math
from http import HTTPStatus
from typing import Final

import msgspec

from edge.protocol.errors import error_json
from edge.rest.bodies import ErrorAnswer
from edge.rest.errors import SAFE_HEADERS, STATUS_OF, malformed
from mesh.errors import ParleyError


def unasked_answer(failure: ParleyError) -> bytes:
    """An error with its head, the last on its connection."""
    body = msgspec.json.encode(ErrorAnswer(error=error_json(failure)))
    status = HTTPStatus(STATUS_OF[failure.reason])
    headers = {**SAFE_HEADERS, "Connection": "close", "Content-Length": str(len(body))}
    if failure.retry_after_ms:
        headers["Retry-After"] = str(math.ceil(failure.retry_after_ms / 1000))
    lines = (f"{name}: {value}" for name, value in headers.items())
    head = (f"HTTP/1.1 {status} {status.phrase}", *lines, "", "")
    return "\r\n".join(head).encode() + body


UNREADABLE: Final = unasked_answer(malformed("the request cannot be parsed as HTTP/1.1"))
"""To a request that cannot be parsed."""
