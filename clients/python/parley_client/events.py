"""What a client is told while it is connected, as dataclasses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from parley_client.declared import (
    Chat,
    ChatHead,
    Json,
    Message,
    ResumedChat,
    chat_from,
    chat_head_from,
    message_from,
    resumed_chat_from,
)
from parley_client.errors import ParleyError, error_from


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection stands, for the first time or again; what was missed meanwhile follows.

    `chats` are live. `pending` are the user's too and become live by themselves; with a `next_cursor` there
    are more, which `chats` of the client lists from there on and `join` makes live.
    """

    user_id: str
    connection_id: str
    chats: tuple[ChatHead, ...]
    pending: tuple[str, ...] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; it is being made again."""

    reason: str


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message, each one once and in the order of the chat. `recovered`: it was missed and fetched later."""

    message: Message
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of a chat was missed for good.

    Either more messages than are fetched by themselves: then `history` has what is before those that follow.
    Or the program took no events for so long that some were dropped: then the messages follow all the same,
    receipts and typing do not. `chat_id` is empty where it was dropped who comes and goes.
    """

    chat_id: str


@dataclass(frozen=True, slots=True)
class Typing:
    """A member types, or stopped."""

    chat_id: str
    user_id: str
    is_typing: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A member has read everything up to `seq`."""

    chat_id: str
    user_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """Everything up to `seq` has reached a member."""

    chat_id: str
    user_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Presence:
    """A user came or went."""

    user_id: str
    online: bool


@dataclass(frozen=True, slots=True)
class ChatCreated:
    """The user is in this chat from now on."""

    chat: Chat


@dataclass(frozen=True, slots=True)
class ChatChanged:
    """A group was changed; `what` is the frame's event: `chat-updated`, `member-added`, `member-removed`.

    `seq` is 0 where the user was removed and may not know more. After a `Gap` some may be missing: `chats`
    shows what is true.
    """

    chat_id: str
    seq: int
    what: str
    data: Json


@dataclass(frozen=True, slots=True)
class Resync:
    """The server lost track of what this connection has seen; the client fetches it."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class Heads:
    """How far some chats go, told by the server outside of their order."""

    chats: tuple[ChatHead, ...]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The server has told what was missed of some chats, or why it cannot."""

    chats: tuple[ResumedChat, ...]
    errors: tuple[tuple[str, ParleyError], ...]


@dataclass(frozen=True, slots=True)
class Overflow:
    """Too many events waited: those of these chats were dropped, and all but the last `Connected`."""

    chat_ids: tuple[str, ...]
    connected: Connected | None


@dataclass(frozen=True, slots=True)
class TokenExpiring:
    """The connection ends soon unless it gets a new token."""


Event = (
    Connected
    | Disconnected
    | NewMessage
    | Gap
    | Typing
    | Read
    | Delivered
    | Presence
    | ChatCreated
    | ChatChanged
)
"""What `ParleyClient.events` gives."""
Incoming = Event | Resync | Heads | Resumed | Overflow
"""What reaches the client itself."""
FromServer = Incoming | TokenExpiring
"""What a connection tells."""


def _changed(what: str) -> Callable[[Json], Incoming]:
    return lambda data: ChatChanged(data["chatId"], data["seq"], what, data)


def _read(data: Json) -> Incoming:
    return Read(data["chatId"], data["readBy"], data["seq"])


_PARSERS: Final[Mapping[str, Callable[[Json], FromServer]]] = {
    "welcome": lambda data: Connected(
        data["userId"],
        data["connectionId"],
        tuple(map(chat_head_from, data["chats"])),
        tuple(data["pending"]),
        data["nextCursor"],
    ),
    "new-message": lambda data: NewMessage(message_from(data)),
    "user-typing": lambda data: Typing(data["chatId"], data["userId"], data["isTyping"]),
    "message-read": _read,
    "chat-read": _read,
    "message-delivered": lambda data: Delivered(data["chatId"], data["userId"], data["seq"]),
    "user-online": lambda data: Presence(data["userId"], online=True),
    "user-offline": lambda data: Presence(data["userId"], online=False),
    "chat-created": lambda data: ChatCreated(chat_from(data["chat"])),
    "chat-updated": _changed("chat-updated"),
    "member-added": _changed("member-added"),
    "member-removed": _changed("member-removed"),
    "resync": lambda data: Resync(data["chatId"]),
    "token-expiring": lambda _data: TokenExpiring(),
}


def heads_from(data: Json) -> Heads:
    """The ack of a `join-chats`."""
    return Heads(tuple(map(chat_head_from, data["chats"])))


def resumed_from(data: Json) -> Resumed:
    """The ack of a `resume`."""
    return Resumed(
        tuple(map(resumed_chat_from, data["chats"])),
        tuple((refused["chatId"], error_from(refused["error"])) for refused in data["errors"]),
    )


def event_from(name: str, data: Json) -> FromServer | None:
    """The event of a frame; None for a kind that this version does not know.

    Raises:
        KeyError, TypeError, ValueError: the data lack a field or have a wrong type.
    """
    parse = _PARSERS.get(name)
    return parse(data) if parse else None
