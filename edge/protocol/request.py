"""What a client asks for, in whatever form it came. No I/O."""

from typing import Final

import msgspec

from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1.frames import COMMANDS, RULES_IN_WORDS, Command, FrameId

_IN_WORDS: Final = {f"matching regex {rule!r}": words for rule, words in RULES_IN_WORDS.items()}


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


def unknown_event() -> InvalidArgument:
    """Nothing known is asked for."""
    # The event is not repeated: it is the client's text, of any length.
    known = ", ".join(COMMANDS)
    return InvalidArgument(ErrorReason.ERROR_REASON_UNKNOWN_EVENT, f"unknown event; known are: {known}")


def misfit(problem: str, root: str) -> InvalidArgument:
    """What msgspec found wrong with what is at `root` of a frame, such as `$.data`."""
    # msgspec ends its message with " - at `$.chatId`"; the client should see the path in its own frame.
    problem, _, path = problem.partition(" - at `")
    for expression, words in _IN_WORDS.items():
        problem = problem.replace(expression, words)
    where = (root + path.rstrip("`").removeprefix("$")).removeprefix("$.").removeprefix("$") or "frame"
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, f"{where}: {problem}")
