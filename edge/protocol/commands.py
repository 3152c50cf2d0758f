"""What a client may ask for over the WebSocket: frames in JSON, parsed into typed commands. No I/O.

A frame is `{"event", "id", "data"}`. `id` is optional; when it is there the answer repeats it. So is
`traceparent`, beside it: the trace that the frame is a part of (W3C Trace Context).
"""

from typing import Annotated, Final, TypeAlias

import msgspec

from contract.user_ids import MAX_USER_ID_LENGTH
from edge.protocol import surrogates
from edge.protocol.shapes import MessageTypeName
from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason

_OBJECT_ID: Final = r"^[0-9a-f]{24}\Z"
_KEY: Final = r"^[A-Za-z0-9._:-]{1,64}\Z"

ChatId: TypeAlias = Annotated[str, msgspec.Meta(pattern=_OBJECT_ID)]
MessageId: TypeAlias = ChatId
ClientMsgId: TypeAlias = Annotated[str, msgspec.Meta(pattern=_KEY)]
UserId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_USER_ID_LENGTH)]
# Chat ids of one join; the limit of JoinChats.
ChatIds: TypeAlias = Annotated[list[ChatId], msgspec.Meta(min_length=1, max_length=1000)]
Position: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
FrameId: TypeAlias = (
    Annotated[str, msgspec.Meta(max_length=64)]
    | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]  # what JavaScript's numbers hold exactly
    | None
)


class Command(msgspec.Struct, frozen=True, rename="camel"):
    """The data of a client frame. Fields that a later version may add are ignored."""


class JoinChats(Command, frozen=True):
    """Receive what happens in these chats."""

    chat_ids: ChatIds


class LeaveChats(Command, frozen=True):
    """Receive nothing of these chats on this connection any more. Membership stays."""

    chat_ids: ChatIds


class SendMessage(Command, frozen=True):
    """Send a message; content is checked by chat_service, which owns the limit."""

    chat_id: ChatId
    content: str
    client_msg_id: ClientMsgId
    type: MessageTypeName = "text"
    mentions: Annotated[list[UserId], msgspec.Meta(max_length=50)] = []
    read_seq: Position | None = None

    def __post_init__(self) -> None:
        """Refuses a user who is mentioned twice."""
        if len(set(self.mentions)) < len(self.mentions):
            raise ValueError("each user may be mentioned once")


class SetTyping(Command, frozen=True):
    """The user types, or stopped."""

    chat_id: ChatId
    is_typing: bool


class MarkRead(Command, frozen=True):
    """Everything up to this message is read."""

    chat_id: ChatId
    message_id: MessageId


class CursorData(Command, frozen=True):
    """The last entry of a chat that the client has; `epoch` 0 when the client does not say."""

    chat_id: ChatId
    seq: Position
    epoch: Position = 0


class Resume(Command, frozen=True):
    """Send what came after these, then go on live."""

    chats: Annotated[list[CursorData], msgspec.Meta(min_length=1, max_length=1000)]

    def __post_init__(self) -> None:
        """Refuses a chat that is there twice: which of its cursors counts?"""
        if len({cursor.chat_id for cursor in self.chats}) < len(self.chats):
            raise ValueError("each chat may be there once")


class RefreshToken(Command, frozen=True):
    """Go on with this token in place of the one before; it must be the same user's."""

    token: Annotated[str, msgspec.Meta(min_length=1)]


class MarkChatRead(Command, frozen=True):
    """The whole chat is read."""

    chat_id: ChatId


COMMANDS: Final[dict[str, type[Command]]] = {
    "join-chats": JoinChats,
    "leave-chats": LeaveChats,
    "send-message": SendMessage,
    "typing": SetTyping,
    "mark-read": MarkRead,
    "mark-chat-read": MarkChatRead,
    "resume": Resume,
    "refresh-token": RefreshToken,
}


class Request(msgspec.Struct, frozen=True):
    """A well-formed frame: what is asked, and the id that the answer repeats.

    `traceparent` is what the client sent as such, whatever it is; empty if nothing.
    """

    event: str
    id: FrameId
    command: Command
    traceparent: str = ""


class FrameError(Exception):
    """A frame that asks for nothing known. The connection goes on.

    `error` is what the client is told; `id` is the frame's own if it could be read, else None.
    """

    def __init__(self, error: InvalidArgument, frame_id: FrameId = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.id = frame_id


class _Addressed(msgspec.Struct, frozen=True):
    """As much of a bad frame as it takes to answer it."""

    id: FrameId = None


class _Envelope(msgspec.Struct, frozen=True):
    event: str
    id: FrameId = None
    data: msgspec.Raw = msgspec.Raw(b"{}")
    traceparent: str = ""


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ADDRESSED: Final = msgspec.json.Decoder(_Addressed)
# What a client's developer should read instead of a regular expression.
_IN_WORDS: Final = {
    f"matching regex {_OBJECT_ID!r}": "of 24 lower-case hexadecimal digits",
    f"matching regex {_KEY!r}": "of 1 to 64 characters of A-Z a-z 0-9 . _ : -",
}
_DECODERS: Final = {event: msgspec.json.Decoder(command) for event, command in COMMANDS.items()}


def parse(text: str) -> Request:
    """The request that a text message holds.

    Raises:
        FrameError: `MALFORMED_FRAME` (no JSON), `INVALID_ARGUMENT` (names the field), `UNKNOWN_EVENT`.
    """
    try:
        envelope = _ENVELOPE.decode(text)
    except msgspec.ValidationError as error:
        raise _misshapen(text, error) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(text) from error
    decoder = _DECODERS.get(envelope.event)
    if decoder is None:
        # The event is not repeated: it is the client's text, of any length.
        known = ", ".join(COMMANDS)
        unknown = InvalidArgument(
            ErrorReason.ERROR_REASON_UNKNOWN_EVENT, f"unknown event; known are: {known}"
        )
        raise FrameError(unknown, envelope.id)
    try:
        command = decoder.decode(envelope.data)
    except msgspec.ValidationError as error:
        raise FrameError(_invalid(str(error), "$.data"), envelope.id) from error
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
    return FrameError(_invalid(str(error), "$"), frame_id)


def _unreadable(text: str) -> FrameError:
    halved = surrogates.explain(text)
    if halved is None:
        return FrameError(_no_object())
    problem, document = halved
    frame_id = document.get("id") if isinstance(document, dict) else None
    try:
        # An id that holds the half itself cannot be repeated.
        usable = not isinstance(frame_id, str) or surrogates.is_whole(frame_id)
        return FrameError(_invalid(problem, "$"), msgspec.convert(frame_id, FrameId) if usable else None)
    except msgspec.ValidationError:
        return FrameError(_invalid(problem, "$"))


def _no_object() -> InvalidArgument:
    return InvalidArgument(ErrorReason.ERROR_REASON_MALFORMED_FRAME, "the frame is not a JSON object")


def _invalid(problem: str, root: str) -> InvalidArgument:
    # msgspec ends its message with " - at `$.chatId`"; the client should see the path in its own frame.
    problem, _, path = problem.partition(" - at `")
    for expression, words in _IN_WORDS.items():
        problem = problem.replace(expression, words)
    where = (root + path.rstrip("`").removeprefix("$")).removeprefix("$.").removeprefix("$") or "frame"
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, f"{where}: {problem}")
