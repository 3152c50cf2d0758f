"""Errors of clients, and how clients are told of any."""

from mesh.errors import ParleyError
from parley.edge.v1.close_codes import CLOSE_CODE_OF, CloseCode
from parley.edge.v1.frames import Error


class ProtocolError(Exception):
    """The peer broke the protocol; nothing after it can be understood, so the connection ends with `code`."""

    def __init__(self, code: CloseCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def error_json(error: ParleyError) -> Error:
    """An error as every client sees it."""
    return Error(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        retry_after_ms=max(0, error.retry_after_ms),
    )


def close_code_of(error: ParleyError) -> CloseCode:
    """The code that refuses a session because of `error`."""
    return CLOSE_CODE_OF.get(
        error.reason, CloseCode.TRY_AGAIN_LATER if error.retryable else CloseCode.REFUSED
    )
