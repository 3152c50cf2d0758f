"""What the server shows, as dataclasses. Fields that a newer server adds are ignored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `seq` is its position among all changes of the chat, `number` among its messages.

    `epoch` counts how often the log was begun; 0 in a page of history.
    """

    id: str
    chat_id: str
    seq: int
    number: int
    sender_id: str
    type: str
    content: str
    client_msg_id: str
    status: str
    created_at: datetime
    epoch: int = 0
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """The server's ack: the message is durable. `duplicate`: an earlier try of the same send had arrived."""

    message_id: str
    chat_id: str
    seq: int
    number: int
    created_at: datetime
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as the user sees it. `users` are the first few members; `name` is empty for direct chats."""

    id: str
    type: str
    users: tuple[str, ...]
    name: str
    unread: int
    seq: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Some of the user's chats, the last changed first; `next_cursor` is None on the last page."""

    chats: tuple[Chat, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a chat; `role` is `admin` or `member`."""

    user_id: str
    role: str
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some of the members, in the order of joining; `next_cursor` is None on the last page."""

    members: tuple[Member, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log of a chat goes."""

    chat_id: str
    seq: int
    epoch: int
    unread: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far somebody has seen a chat."""

    chat_id: str
    seq: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """How far the server told of one chat when it was asked to resume; not `complete`: there is more.

    `reset`: it told nothing, because the log was made anew; the history has what is left.
    """

    chat_id: str
    seq: int
    epoch: int
    complete: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, the oldest first; `has_more`: there are older ones."""

    messages: tuple[Message, ...]
    has_more: bool


def message_from(data: Json) -> Message:
    """A message in a frame or a page."""
    return Message(
        id=data["id"],
        chat_id=data["chatId"],
        seq=data["seq"],
        number=data["number"],
        sender_id=data["senderId"],
        type=data["type"],
        content=data["content"],
        client_msg_id=data["clientMsgId"],
        status=data.get("status", "sent"),
        created_at=datetime.fromisoformat(data["createdAt"]),
        epoch=data.get("epoch", 0),
        mentions=tuple(data.get("mentions", ())),
    )


def sent_from(data: Json) -> Sent:
    """The ack of a `send-message`."""
    return Sent(
        message_id=data["messageId"],
        chat_id=data["chatId"],
        seq=data["seq"],
        number=data["number"],
        created_at=datetime.fromisoformat(data["createdAt"]),
        duplicate=data["duplicate"],
    )


def chat_from(data: Json) -> Chat:
    """A chat in an answer or a frame."""
    return Chat(
        id=data["id"],
        type=data["type"],
        users=tuple(data["users"]),
        name=data.get("name", ""),
        unread=data["unread"],
        seq=data["seq"],
        epoch=data["epoch"],
    )


def chat_page_from(data: Json) -> ChatPage:
    """A page of chats."""
    return ChatPage(tuple(map(chat_from, data["chats"])), data["nextCursor"])


def member_page_from(data: Json) -> MemberPage:
    """A page of members."""
    members = (
        Member(item["userId"], item["role"], datetime.fromisoformat(item["joinedAt"]))
        for item in data["members"]
    )
    return MemberPage(tuple(members), data["nextCursor"])


def head_from(data: Json) -> Head:
    """A chat in a `welcome` or in the ack of a `join-chats`."""
    return Head(chat_id=data["chatId"], seq=data["seq"], epoch=data["epoch"], unread=data["unread"])


def told_from(data: Json) -> Told:
    """A chat in the ack of a `resume`."""
    return Told(
        chat_id=data["chatId"],
        seq=data["seq"],
        epoch=data["epoch"],
        complete=data["complete"],
        reset=data["reset"],
    )


def page_from(data: Json) -> Page:
    """A page of history."""
    return Page(tuple(message_from(message) for message in data["messages"]), data["hasMore"])
