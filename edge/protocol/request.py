"""What a client asks for, in whatever form it came. No I/O."""

import msgspec

from mesh.errors import InvalidArgument
from parley.edge.v1.frames import Command, FrameId


class Request(msgspec.Struct, frozen=True):
    """A well-formed frame: what is asked, and the id that the answer repeats.

    `traceparent` is what the client sent as such, whatever it is; empty if nothing.
    """

    event: str
    id: FrameId | None
    command: Command
    traceparent: str = ""


class FrameError(Exception):
    """A frame that asks for nothing known. The connection goes on.

    `error` is what the client is told; `id` is the frame's own if it could be read, else None.
    """

    def __init__(self, error: InvalidArgument, frame_id: FrameId | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.id = frame_id
