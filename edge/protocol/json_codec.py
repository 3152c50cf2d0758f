"""Frames in JSON: what clients send, parsed into typed commands, and what they are told. No I/O.

A client's frame is `{"event", "id", "data"}`. `id` is optional; when it is there the answer repeats it. So is
`traceparent`, beside it: the trace that the frame is a part of (W3C Trace Context).
"""

from typing import Final

import msgspec

from edge.protocol import surrogates
from edge.protocol.errors import ProtocolError
from edge.protocol.request import FrameError, Request, misfit, unknown_event
from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1.close_codes import CloseCode
from parley.edge.v1.frames import COMMANDS, FrameId, ServerFrame


class _Addressed(msgspec.Struct, frozen=True):
    """As much of a bad frame as it takes to answer it."""

    id: FrameId | None = None


class _Envelope(msgspec.Struct, frozen=True):
    event: str
    id: FrameId | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")
    traceparent: str = ""


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ADDRESSED: Final = msgspec.json.Decoder(_Addressed)
_DECODERS: Final = {event: msgspec.json.Decoder(command) for event, command in COMMANDS.items()}
_ENCODER: Final = msgspec.json.Encoder()


def encode(message: ServerFrame) -> bytes:
    """The payload of the text message."""
    return _ENCODER.encode(message)


def parse(payload: bytes) -> Request:
    """The request that a text message holds.

    Raises:
        FrameError: `MALFORMED_FRAME` (no JSON), `INVALID_ARGUMENT` (names the field), `UNKNOWN_EVENT`.
        ProtocolError: it is not UTF-8.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(CloseCode.INVALID_UTF8, "text that is not UTF-8") from error
    try:
        envelope = _ENVELOPE.decode(text)
    except msgspec.ValidationError as error:
        raise _misshapen(text, error) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(text) from error
    decoder = _DECODERS.get(envelope.event)
    if decoder is None:
        raise FrameError(unknown_event(), envelope.id)
    try:
        command = decoder.decode(envelope.data)
    except msgspec.ValidationError as error:
        raise FrameError(misfit(str(error), "$.data"), envelope.id) from error
    except (msgspec.DecodeError, RecursionError) as error:
        malformed = InvalidArgument(
            ErrorReason.ERROR_REASON_MALFORMED_FRAME, "`data` is not well-formed JSON"
        )
        raise FrameError(malformed, envelope.id) from error
    return Request(envelope.event, envelope.id, command, envelope.traceparent)


def _misshapen(text: str, error: msgspec.ValidationError) -> FrameError:
    if text.lstrip()[:1] != "{":
        return FrameError(_no_object())
    try:
        frame_id = _ADDRESSED.decode(text).id
    except (msgspec.DecodeError, RecursionError):
        frame_id = None
    return FrameError(misfit(str(error), "$"), frame_id)


def _unreadable(text: str) -> FrameError:
    halved = surrogates.explain(text)
    if halved is None:
        return FrameError(_no_object())
    problem, document = halved
    frame_id = document.get("id") if isinstance(document, dict) else None
    try:
        # An id that holds the half itself cannot be repeated.
        usable = not isinstance(frame_id, str) or surrogates.is_whole(frame_id)
        return FrameError(misfit(problem, "$"), msgspec.convert(frame_id, FrameId | None) if usable else None)
    except msgspec.ValidationError:
        return FrameError(misfit(problem, "$"))


def _no_object() -> InvalidArgument:
    return InvalidArgument(ErrorReason.ERROR_REASON_MALFORMED_FRAME, "the frame is not a JSON object")
