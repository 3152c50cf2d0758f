"""What the server shows, as dataclasses, and what its close codes ask for.

Written by `make documents` from `protos/parley/edge/v1`. Properties that a newer server adds are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

Json: TypeAlias = Mapping[str, Any]

FINAL_CLOSE_CODES: Final = frozenset((1000, 1002, 1003, 1007, 1009, 4403, 4410,))
"""Not to come back after, before something was changed."""
NEW_TOKEN_CLOSE_CODES: Final = frozenset((4401,))
"""To come back after with another token."""


@dataclass(frozen=True, slots=True)
class ChatHead:
    """Where a chat's log stands, for one member."""

    chat_id: str
    """The chat."""

    epoch: int
    """Which epoch of the log this is."""

    seq: int
    """Position of the last change, 0 for an empty log."""

    number: int
    """Count of messages so far."""

    unread: int
    """Messages after the member's read pointer."""


def chat_head_from(data: Json) -> ChatHead:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return ChatHead(
        chat_id=data["chatId"],
        epoch=data["epoch"],
        seq=data["seq"],
        number=data["number"],
        unread=data["unread"],
    )


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """One member who has read a message."""

    user_id: str
    """The reader."""

    read_at: datetime
    """When the reader's pointer last moved: the message was read then or earlier."""


def read_receipt_from(data: Json) -> ReadReceipt:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return ReadReceipt(
        user_id=data["userId"],
        read_at=datetime.fromisoformat(data["readAt"]),
    )


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `seq` counts every change of the chat, `number` its messages."""

    id: str
    """24 lower-case hex digits (an ObjectId), made by chat_service when it first sees the message."""

    chat_id: str
    """The chat, 24 lower-case hex digits."""

    seq: int
    """Position in the chat's log, counting every change of the chat from 1."""

    number: int
    """Count of the chat's messages up to and with this one."""

    sender_id: str
    """Who sent it: the `sub` of the sender's token. Like every user's id it has 1 to 128 code points, at
    least one of them visible, and no control characters, line or paragraph separators, surrogates or
    bidirectional controls."""

    type: str
    """What the content stands for."""

    content: str
    """1 to 4,096 characters (a setting), not only white space."""

    client_msg_id: str
    """The sender's idempotency key, 1 to 64 characters of `A-Z a-z 0-9 . _ : -`, unique per chat and
    sender."""

    created_at: datetime
    """When it was accepted, by the clock of chat_service. Order is by `seq`, never by this."""

    status: str
    """How far it got. Only in answers that show history."""

    read_by: tuple[ReadReceipt, ...]
    """Who has read it, in the order they read, at most 50. Only in answers that show history, and only in
    direct chats and groups of at most 100 members."""

    mentions: tuple[str, ...]
    """Users whom the sender mentions, at most 50 without repeats, in the sender's order. Who is no member is
    not told."""

    epoch: int | None
    """Which epoch of the log `seq` belongs to. Only in what an edge tells live."""


def message_from(data: Json) -> Message:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return Message(
        id=data["id"],
        chat_id=data["chatId"],
        seq=data["seq"],
        number=data["number"],
        sender_id=data["senderId"],
        type=data["type"],
        content=data["content"],
        client_msg_id=data["clientMsgId"],
        created_at=datetime.fromisoformat(data["createdAt"]),
        status=data["status"],
        read_by=tuple(read_receipt_from(each) for each in data["readBy"]),
        mentions=tuple(data["mentions"]),
        epoch=data.get("epoch"),
    )


@dataclass(frozen=True, slots=True)
class LatestMessage:
    """The last message of a chat, enough for one line of a list."""

    text: str
    """Its content, cut after 200 characters as people count them (grapheme clusters), at most 600 code
    points."""

    sender_id: str
    """Who sent it."""

    timestamp: datetime
    """When it was accepted."""

    seq: int
    """Its position in the log."""

    type: str
    """What the content stands for."""


def latest_message_from(data: Json) -> LatestMessage:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return LatestMessage(
        text=data["text"],
        sender_id=data["sender"],
        timestamp=datetime.fromisoformat(data["timestamp"]),
        seq=data["seq"],
        type=data["type"],
    )


@dataclass(frozen=True, slots=True)
class DirectChat:
    """A chat of exactly two users; there is one per pair."""

    id: str
    """24 lower-case hex digits."""

    users: tuple[str, ...]
    """Both users."""

    latest_message: LatestMessage | None
    """Absent before the first message."""

    created_at: datetime
    """When it was made."""

    updated_at: datetime
    """When it last changed (message or membership)."""

    unread: int
    """Messages after the user's read pointer."""

    seq: int
    """Position of the last change."""

    epoch: int
    """Which epoch of the log `seq` belongs to."""

    role: str
    """The user's role: MEMBER."""

    online_user_ids: tuple[str, ...]
    """Which of the two have a live connection right now."""


def direct_chat_from(data: Json) -> DirectChat:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return DirectChat(
        id=data["id"],
        users=tuple(data["users"]),
        latest_message=None if data.get("latestMessage") is None else latest_message_from(data["latestMessage"]),
        created_at=datetime.fromisoformat(data["createdAt"]),
        updated_at=datetime.fromisoformat(data["updatedAt"]),
        unread=data["unread"],
        seq=data["seq"],
        epoch=data["epoch"],
        role=data["role"],
        online_user_ids=tuple(data["onlineUserIds"]),
    )


@dataclass(frozen=True, slots=True)
class Member:
    """One membership."""

    user_id: str
    """The member."""

    role: str
    """MEMBER or ADMIN."""

    joined_at: datetime
    """When the user joined."""


def member_from(data: Json) -> Member:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return Member(
        user_id=data["userId"],
        role=data["role"],
        joined_at=datetime.fromisoformat(data["joinedAt"]),
    )


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """What the admins of a group decided."""

    is_public: bool
    """Anyone may find and join the group."""

    allow_invites: bool
    """Members that are no admins may add others."""


def group_settings_from(data: Json) -> GroupSettings:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return GroupSettings(
        is_public=data["isPublic"],
        allow_invites=data["allowInvites"],
    )


@dataclass(frozen=True, slots=True)
class GroupChat:
    """A group. `users` and `members` show the first 5 members by joining; `GET /chats/{chatId}/members` lists
    them all."""

    id: str
    """24 lower-case hex digits."""

    users: tuple[str, ...]
    """The ids of `members`."""

    latest_message: LatestMessage | None
    """Absent before the first message."""

    created_at: datetime
    """When it was made."""

    updated_at: datetime
    """When it last changed (message or membership)."""

    unread: int
    """Messages after the user's read pointer."""

    seq: int
    """Position of the last change."""

    epoch: int
    """Which epoch of the log `seq` belongs to."""

    role: str
    """The user's role."""

    name: str
    """1 to 100 characters."""

    description: str
    """Up to 1,000 characters."""

    avatar: str
    """URL or the customer's id of a picture, up to 500 characters."""

    created_by: str
    """Who made it."""

    owner_id: str
    """The admin who owns it: first its maker; when the owner leaves, the admin who joined first. Further
    admins are members with that role."""

    members: tuple[Member, ...]
    """The first 5 members by joining."""

    member_count: int
    """How many members there are."""

    settings: GroupSettings
    """What the admins decided."""


def group_chat_from(data: Json) -> GroupChat:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return GroupChat(
        id=data["id"],
        users=tuple(data["users"]),
        latest_message=None if data.get("latestMessage") is None else latest_message_from(data["latestMessage"]),
        created_at=datetime.fromisoformat(data["createdAt"]),
        updated_at=datetime.fromisoformat(data["updatedAt"]),
        unread=data["unread"],
        seq=data["seq"],
        epoch=data["epoch"],
        role=data["role"],
        name=data["name"],
        description=data["description"],
        avatar=data["avatar"],
        created_by=data["createdBy"],
        owner_id=data["admin"],
        members=tuple(member_from(each) for each in data["members"]),
        member_count=data["memberCount"],
        settings=group_settings_from(data["settings"]),
    )


Chat: TypeAlias = DirectChat | GroupChat
"""A chat as one user sees it."""


def chat_from(data: Json) -> Chat:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    if data["type"] == "direct":
        return direct_chat_from(data)
    return group_chat_from(data)


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to `send-message`."""

    message_id: str
    """24 lower-case hex digits."""

    chat_id: str
    """The chat."""

    seq: int
    """Position of the message in the log."""

    number: int
    """Count of messages up to and with this one."""

    epoch: int
    """Which epoch of the log `seq` belongs to."""

    created_at: datetime
    """When it was accepted."""

    duplicate: bool
    """It was accepted before; this is the first answer again."""


def sent_from(data: Json) -> Sent:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return Sent(
        message_id=data["messageId"],
        chat_id=data["chatId"],
        seq=data["seq"],
        number=data["number"],
        epoch=data["epoch"],
        created_at=datetime.fromisoformat(data["createdAt"]),
        duplicate=data["duplicate"],
    )


@dataclass(frozen=True, slots=True)
class ResumedChat:
    """How far a chat was sent."""

    chat_id: str
    """The chat."""

    seq: int
    """Everything up to here was sent."""

    number: int
    """Count of messages at `seq`; 0 when not known."""

    epoch: int
    """Which epoch of the log `seq` belongs to."""

    unread: int
    """Messages after the user's read pointer."""

    complete: bool
    """False: there is more; resume from `seq`."""

    reset: bool
    """Nothing was sent; load the history instead."""


def resumed_chat_from(data: Json) -> ResumedChat:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    return ResumedChat(
        chat_id=data["chatId"],
        seq=data["seq"],
        number=data["number"],
        epoch=data["epoch"],
        unread=data["unread"],
        complete=data["complete"],
        reset=data["reset"],
    )
