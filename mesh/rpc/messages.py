"""Requests and answers as bytes: how large they may be, and parsing that fails in our words.

gRPC's own parsing would come before a handler sees who calls, and its own limits answer in its own words.
"""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError

from mesh.errors import InvalidArgument
from mesh.logs import get_logger
from parley.common.v1.error_pb2 import ErrorReason
from parley.common.v1.options_pb2 import max_request_bytes

DEFAULT_REQUEST_BYTES: Final = 64 * 1024
"""What a request may have where its method does not say otherwise (`max_request_bytes` in `protos/`)."""
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""What any answer may have; whatever lists things stays far below."""

_log = get_logger()


def request_limit(method: str) -> int:
    """How many bytes a request of a method (``parley.chat.v1.ChatService/SendMessages``) may have."""
    try:
        descriptor: Any = descriptor_pool.Default().FindMethodByName(method.replace("/", "."))
    except KeyError:
        return DEFAULT_REQUEST_BYTES
    return int(descriptor.GetOptions().Extensions[max_request_bytes]) or DEFAULT_REQUEST_BYTES


def parser(method: str, deserialize: Callable[[bytes], Any]) -> Callable[[object], Any]:
    """Makes requests of what gRPC read for a method: bytes, or its mark for the end of a call.

    What it gives raises InvalidArgument: TOO_LARGE before anything is parsed, else INVALID_ARGUMENT.
    """
    limit = request_limit(method)

    def parse(data: object) -> Any:
        if not isinstance(data, bytes):
            raise _invalid("the call brought no request, or one that is far too large")
        if len(data) > limit:
            raise InvalidArgument(
                ErrorReason.ERROR_REASON_TOO_LARGE,
                f"the request has {len(data):,} bytes; {method} takes {limit:,}",
            )
        try:
            return deserialize(data)
        except DecodeError:
            raise _invalid(f"this is no request of {method}, or a text in it is not UTF-8") from None

    return parse


def encoder(method: str, serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Makes bytes of a method's answers.

    What it gives raises InvalidArgument, TOO_LARGE, for an answer that is larger than any may be.
    """

    def encode(answer: Any) -> bytes:
        data = serialize(answer)
        if len(data) > MAX_ANSWER_BYTES:
            _log.error("rpc.answer_too_large", method=method, bytes=len(data))
            raise InvalidArgument(
                ErrorReason.ERROR_REASON_TOO_LARGE, "the answer would be too large; ask for less"
            )
        return data

    return encode


def _invalid(message: str) -> InvalidArgument:
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)
