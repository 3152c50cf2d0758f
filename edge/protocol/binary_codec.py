"""Frames as messages of `parley.edge.v1`: `ClientFrame` from clients, `ServerFrame` to them. No I/O.

What is asked for keeps the limits of the same types as in JSON, and errors name properties as JSON does.
"""

import msgspec
from google.protobuf.message import DecodeError

from edge.protocol.request import FrameError, Request, misfit, unknown_event
from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1.command_pb2 import ClientFrame
from parley.edge.v1.conversions import command_from_pb, frame_id_from_pb, frame_to_pb
from parley.edge.v1.frames import COMMANDS, FrameId, ServerFrame


def encode(message: ServerFrame) -> bytes:
    """The payload of the binary message."""
    return frame_to_pb(message).SerializeToString()


def parse(payload: bytes) -> Request:
    """The request that a binary message holds.

    Raises:
        FrameError: `MALFORMED_FRAME` (no `ClientFrame`), `INVALID_ARGUMENT` (names the property),
            `UNKNOWN_EVENT` (no command, or one that this version does not know).
    """
    try:
        asked = ClientFrame.FromString(payload)
    except DecodeError as error:
        raise FrameError(
            InvalidArgument(
                ErrorReason.ERROR_REASON_MALFORMED_FRAME, "the frame is no parley.edge.v1.ClientFrame"
            )
        ) from error
    frame_id = _id_of(asked)
    found = command_from_pb(asked)
    if found is None:
        raise FrameError(unknown_event(), frame_id)
    event, data = found
    try:
        command = msgspec.convert(data, COMMANDS[event])
    except msgspec.ValidationError as error:
        raise FrameError(misfit(str(error), "$.data"), frame_id) from error
    return Request(event, frame_id, command, asked.traceparent)


def _id_of(asked: ClientFrame) -> FrameId | None:
    if not asked.HasField("id"):
        return None
    try:
        frame_id: FrameId = msgspec.convert(frame_id_from_pb(asked.id), FrameId)
    except msgspec.ValidationError as error:
        raise FrameError(misfit(str(error), "$.id")) from error
    return frame_id
