"""What clients see of chats and messages, in REST answers and WebSocket frames alike.

Pure: protobuf in, msgspec structs out. The names are camelCase on the wire, times are RFC 3339 in UTC with
milliseconds, and a field is only ever added.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from mesh.clock import to_rfc3339
from mesh.errors import ParleyError
from parley.common.v1 import chat_pb2, message_pb2
from parley.common.v1.chat_pb2 import ChatType, Role
from parley.common.v1.message_pb2 import MessageStatus, MessageType

MessageTypeName: TypeAlias = Literal["text", "image", "file"]
MessageStatusName: TypeAlias = Literal["sent", "delivered", "read"]
RoleName: TypeAlias = Literal["admin", "member"]
Timestamp: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]

MESSAGE_TYPES: Final[dict[MessageTypeName, MessageType.ValueType]] = {
    "text": MessageType.MESSAGE_TYPE_TEXT,
    "image": MessageType.MESSAGE_TYPE_IMAGE,
    "file": MessageType.MESSAGE_TYPE_FILE,
}
_TYPE_NAMES: Final = {value: name for name, value in MESSAGE_TYPES.items()}
_STATUS_NAMES: Final[dict[MessageStatus.ValueType, MessageStatusName]] = {
    MessageStatus.MESSAGE_STATUS_DELIVERED: "delivered",
    MessageStatus.MESSAGE_STATUS_READ: "read",
}


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object with camelCase names."""


class LatestMessageJson(_Shape, frozen=True):
    """The last message of a chat, enough for one line of a list.

    The text is cut after 200 characters as people count them, and after 600 code points.
    """

    text: str
    type: MessageTypeName
    sender: str
    timestamp: Timestamp
    seq: int


class MemberJson(_Shape, frozen=True):
    """One membership of a group."""

    user_id: str
    role: RoleName
    joined_at: Timestamp


class GroupSettingsJson(_Shape, frozen=True):
    """What the admins of a group decided."""

    is_public: bool
    allow_invites: bool


class _Chat(_Shape, frozen=True):
    id: str
    users: list[str]
    latest_message: LatestMessageJson | None
    created_at: Timestamp
    updated_at: Timestamp
    unread: int
    seq: int
    epoch: int
    role: RoleName


class DirectChatJson(_Chat, frozen=True, tag_field="type", tag="direct"):
    """A chat of exactly two users; there is one per pair."""

    online_user_ids: list[str]


class GroupChatJson(_Chat, frozen=True, tag_field="type", tag="group"):
    """A group.

    `users`, `members` and `admin` show the first 5 members by joining; `memberCount` counts all, and
    `GET /chats/{chatId}/members` lists them.
    """

    name: str
    description: str
    avatar: str
    created_by: str
    admin: list[str]
    members: list[MemberJson]
    member_count: int
    settings: GroupSettingsJson


ChatJson: TypeAlias = DirectChatJson | GroupChatJson


class ReadReceiptJson(_Shape, frozen=True):
    """A member who has read the message, and when."""

    user_id: str
    read_at: Timestamp


class MessageJson(_Shape, frozen=True, kw_only=True):
    """A message.

    `seq` counts every change of the chat, `number` its messages; `epoch` is there in live frames. `mentions`
    holds the users whom the sender mentions, in the sender's order, often none.
    """

    id: str
    chat_id: str
    seq: int
    number: int
    epoch: int | msgspec.UnsetType = msgspec.UNSET
    sender_id: str
    type: MessageTypeName
    content: str
    client_msg_id: str
    mentions: list[str]
    status: MessageStatusName
    read_by: list[ReadReceiptJson]
    created_at: Timestamp


class ErrorJson(_Shape, frozen=True):
    """Why something was refused. `retryAfterMs` is 0 when it is not known or a repeat makes no sense."""

    code: str
    message: str
    retryable: bool
    retry_after_ms: int


def chat_json(chat: chat_pb2.Chat) -> ChatJson:
    """The chat as the user it was loaded for sees it."""
    if chat.type == ChatType.CHAT_TYPE_DIRECT:
        return DirectChatJson(
            id=chat.id,
            users=[member.user_id for member in chat.members],
            latest_message=_latest_json(chat),
            created_at=to_rfc3339(chat.created_at_ms),
            updated_at=to_rfc3339(chat.updated_at_ms),
            unread=chat.unread,
            seq=chat.seq,
            epoch=chat.epoch,
            role=role_name(chat.role),
            online_user_ids=list(chat.online_user_ids),
        )
    return group_json(chat)


def group_json(chat: chat_pb2.Chat) -> GroupChatJson:
    """The same for a chat that is known to be a group."""
    return GroupChatJson(
        id=chat.id,
        users=[member.user_id for member in chat.members],
        latest_message=_latest_json(chat),
        created_at=to_rfc3339(chat.created_at_ms),
        updated_at=to_rfc3339(chat.updated_at_ms),
        unread=chat.unread,
        seq=chat.seq,
        epoch=chat.epoch,
        role=role_name(chat.role),
        name=chat.name,
        description=chat.description,
        avatar=chat.avatar,
        created_by=chat.created_by,
        admin=[member.user_id for member in chat.members if member.role == Role.ROLE_ADMIN],
        members=[member_json(member) for member in chat.members],
        member_count=chat.member_count,
        settings=group_settings_json(chat.settings),
    )


def message_json(
    message: message_pb2.Message, *, seq: int = 0, number: int = 0, epoch: int = 0
) -> MessageJson:
    """The message as clients see it.

    A live one has its position on the `ChatEvent` around it: give it here. It takes the place of the
    message's own, and `epoch` is shown only when given.
    """
    return MessageJson(
        id=message.id,
        chat_id=message.chat_id,
        seq=seq or message.seq,
        number=number or message.number,
        epoch=epoch or msgspec.UNSET,
        sender_id=message.sender_id,
        type=message_type_name(message.type),
        content=message.content,
        client_msg_id=message.client_msg_id,
        mentions=list(message.mentions),
        status=_STATUS_NAMES.get(message.status, "sent"),
        read_by=[
            ReadReceiptJson(user_id=receipt.user_id, read_at=to_rfc3339(receipt.read_at_ms))
            for receipt in message.read_by
        ],
        created_at=to_rfc3339(message.created_at_ms),
    )


def member_json(member: chat_pb2.Member) -> MemberJson:
    """One membership."""
    return MemberJson(
        user_id=member.user_id, role=role_name(member.role), joined_at=to_rfc3339(member.joined_at_ms)
    )


def group_settings_json(settings: chat_pb2.GroupSettings) -> GroupSettingsJson:
    """A group's settings; unset ones are false."""
    return GroupSettingsJson(is_public=settings.is_public, allow_invites=settings.allow_invites)


def error_json(error: ParleyError) -> ErrorJson:
    """An error as every client sees it."""
    return ErrorJson(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        retry_after_ms=max(0, error.retry_after_ms),
    )


def message_type_name(value: MessageType.ValueType) -> MessageTypeName:
    """The client's name of a type. A type of a newer chat_service shows as text: its content still reads."""
    return _TYPE_NAMES.get(value, "text")


def role_name(role: Role.ValueType) -> RoleName:
    """The client's name of a role. Whoever is shown a chat is at least a member of it."""
    return "admin" if role == Role.ROLE_ADMIN else "member"


def _latest_json(chat: chat_pb2.Chat) -> LatestMessageJson | None:
    if not chat.HasField("latest_message"):
        return None
    latest = chat.latest_message
    return LatestMessageJson(
        text=latest.text,
        type=message_type_name(latest.type),
        sender=latest.sender_id,
        timestamp=to_rfc3339(latest.timestamp_ms),
        seq=latest.seq,
    )
