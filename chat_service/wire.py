"""The service's values as protobuf, and back; what happens is in ``event_wire``. Pure."""

from types import MappingProxyType
from typing import Final

from chat_service.domain.model import (
    Chat,
    ChatKind,
    ContentType,
    Draft,
    GroupSettings,
    LatestMessage,
    Member,
    Message,
    MessageStatus,
    Role,
)
from parley.chat.v1 import chat_service_pb2
from parley.common.v1 import chat_pb2, message_pb2

_TYPE_TO_PB: Final = MappingProxyType(
    {
        ContentType.TEXT: message_pb2.MESSAGE_TYPE_TEXT,
        ContentType.IMAGE: message_pb2.MESSAGE_TYPE_IMAGE,
        ContentType.FILE: message_pb2.MESSAGE_TYPE_FILE,
    }
)
_TYPE_FROM_PB: Final = MappingProxyType({pb: type_ for type_, pb in _TYPE_TO_PB.items()})
_ROLE_TO_PB: Final = MappingProxyType(
    {Role.NONE: chat_pb2.ROLE_NONE, Role.MEMBER: chat_pb2.ROLE_MEMBER, Role.ADMIN: chat_pb2.ROLE_ADMIN}
)
_KIND_TO_PB: Final = MappingProxyType(
    {ChatKind.DIRECT: chat_pb2.CHAT_TYPE_DIRECT, ChatKind.GROUP: chat_pb2.CHAT_TYPE_GROUP}
)
_STATUS_TO_PB: Final = MappingProxyType(
    {
        MessageStatus.SENT: message_pb2.MESSAGE_STATUS_SENT,
        MessageStatus.DELIVERED: message_pb2.MESSAGE_STATUS_DELIVERED,
        MessageStatus.READ: message_pb2.MESSAGE_STATUS_READ,
    }
)


def content_type(pb: message_pb2.MessageType.ValueType) -> ContentType | None:
    """None for a type that this version does not know."""
    return _TYPE_FROM_PB.get(pb)


def type_pb(value: ContentType) -> message_pb2.MessageType.ValueType:
    """What the content stands for."""
    return _TYPE_TO_PB[value]


def draft(pb: chat_service_pb2.SendItem, traceparent: str) -> Draft:
    """What a user wants to send; a part of ``traceparent`` where it names no trace itself."""
    return Draft(
        pb.user_id,
        pb.chat_id,
        content_type(pb.type),
        pb.content,
        pb.client_msg_id,
        tuple(pb.mentions),
        pb.traceparent or traceparent,
        pb.read_seq if pb.HasField("read_seq") else None,
    )


def role(pb: chat_pb2.Role.ValueType) -> Role:
    """A role that is not known grants nothing."""
    if pb == chat_pb2.ROLE_ADMIN:
        return Role.ADMIN
    return Role.MEMBER if pb == chat_pb2.ROLE_MEMBER else Role.NONE


def role_filter(pb: chat_pb2.Role.ValueType) -> Role | None:
    """Whom a list of members is about; None: everybody."""
    return None if pb == chat_pb2.ROLE_UNSPECIFIED else role(pb)


def role_filter_pb(value: Role | None) -> chat_pb2.Role.ValueType:
    """What ``role_filter`` reads."""
    return chat_pb2.ROLE_UNSPECIFIED if value is None else _ROLE_TO_PB[value]


def kind(pb: chat_pb2.ChatType.ValueType) -> ChatKind:
    """Direct or group."""
    return ChatKind.DIRECT if pb == chat_pb2.CHAT_TYPE_DIRECT else ChatKind.GROUP


def message(pb: message_pb2.Message, *, seq: int = 0, number: int = 0) -> Message:
    """``seq`` and ``number`` are given where they stand outside of the message."""
    return Message(
        id=pb.id,
        chat_id=pb.chat_id,
        seq=seq or pb.seq,
        number=number or pb.number,
        sender_id=pb.sender_id,
        type=_TYPE_FROM_PB.get(pb.type, ContentType.TEXT),
        content=pb.content,
        client_msg_id=pb.client_msg_id,
        created_at_ms=pb.created_at_ms,
        mentions=tuple(pb.mentions),
    )


def message_pb(value: Message) -> message_pb2.Message:
    """With position, status and readers."""
    return message_pb2.Message(
        id=value.id,
        chat_id=value.chat_id,
        seq=value.seq,
        number=value.number,
        sender_id=value.sender_id,
        type=_TYPE_TO_PB[value.type],
        content=value.content,
        client_msg_id=value.client_msg_id,
        created_at_ms=value.created_at_ms,
        mentions=value.mentions,
        status=_STATUS_TO_PB[value.status],
        read_by=[
            message_pb2.ReadReceipt(user_id=receipt.user_id, read_at_ms=receipt.read_at_ms)
            for receipt in value.read_by
        ],
    )


def latest(pb: chat_pb2.LatestMessage) -> LatestMessage:
    """The last message as the store has it."""
    return LatestMessage(
        text=pb.text,
        sender_id=pb.sender_id,
        timestamp_ms=pb.timestamp_ms,
        seq=pb.seq,
        type=_TYPE_FROM_PB.get(pb.type, ContentType.TEXT),
    )


def member(pb: chat_pb2.Member) -> Member:
    """One membership."""
    return Member(pb.user_id, role(pb.role), pb.joined_at_ms)


def member_pb(value: Member) -> chat_pb2.Member:
    """One membership."""
    return chat_pb2.Member(
        user_id=value.user_id, role=_ROLE_TO_PB[value.role], joined_at_ms=value.joined_at_ms
    )


def settings(pb: chat_pb2.GroupSettings) -> GroupSettings:
    """What the admins decided."""
    return GroupSettings(is_public=pb.is_public, allow_invites=pb.allow_invites)


def settings_pb(value: GroupSettings) -> chat_pb2.GroupSettings:
    """What the admins decided."""
    return chat_pb2.GroupSettings(is_public=value.is_public, allow_invites=value.allow_invites)


def chat(pb: chat_pb2.Chat) -> Chat:
    """A chat as the store has it."""
    return Chat(
        id=pb.id,
        kind=kind(pb.type),
        members=tuple(map(member, pb.members)),
        member_count=pb.member_count,
        created_at_ms=pb.created_at_ms,
        updated_at_ms=pb.updated_at_ms,
        created_by=pb.created_by,
        name=pb.name,
        description=pb.description,
        avatar=pb.avatar,
        settings=settings(pb.settings) if pb.HasField("settings") else None,
        latest=latest(pb.latest_message) if pb.HasField("latest_message") else None,
        seq=pb.seq,
        epoch=pb.epoch,
        role=role(pb.role),
    )


def chat_pb(value: Chat) -> chat_pb2.Chat:
    """A chat as one user sees it."""
    last = value.latest
    return chat_pb2.Chat(
        id=value.id,
        type=_KIND_TO_PB[value.kind],
        members=map(member_pb, value.members),
        member_count=value.member_count,
        latest_message=None
        if last is None
        else chat_pb2.LatestMessage(
            text=last.text,
            sender_id=last.sender_id,
            timestamp_ms=last.timestamp_ms,
            seq=last.seq,
            type=_TYPE_TO_PB[last.type],
        ),
        created_at_ms=value.created_at_ms,
        updated_at_ms=value.updated_at_ms,
        created_by=value.created_by,
        name=value.name,
        description=value.description,
        avatar=value.avatar,
        settings=None if value.settings is None else settings_pb(value.settings),
        seq=value.seq,
        epoch=value.epoch,
        unread=value.unread,
        role=_ROLE_TO_PB[value.role],
        online_user_ids=value.online_user_ids,
    )
