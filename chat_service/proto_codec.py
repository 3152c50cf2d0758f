"""The service's values as protobuf, and back; what happens is in ``event_codec``. Pure."""

from types import MappingProxyType
from typing import Final

from chat_service.domain.model import (
    Chat,
    ChatKind,
    GroupSettings,
    Member,
    Role,
)
from parley.common.v1 import chat_pb2

_ROLE_TO_PB: Final = MappingProxyType(
    {Role.NONE: chat_pb2.ROLE_NONE, Role.MEMBER: chat_pb2.ROLE_MEMBER, Role.ADMIN: chat_pb2.ROLE_ADMIN}
)
_KIND_TO_PB: Final = MappingProxyType(
    {ChatKind.DIRECT: chat_pb2.CHAT_TYPE_DIRECT, ChatKind.GROUP: chat_pb2.CHAT_TYPE_GROUP}
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
        owner_id=pb.owner_id,
        name=pb.name,
        description=pb.description,
        avatar=pb.avatar,
        settings=settings(pb.settings) if pb.HasField("settings") else None,
        latest=pb.latest_message if pb.HasField("latest_message") else None,
        seq=pb.seq,
        epoch=pb.epoch,
        role=role(pb.role),
    )


def chat_pb(value: Chat) -> chat_pb2.Chat:
    """A chat as one user sees it."""
    return chat_pb2.Chat(
        id=value.id,
        type=_KIND_TO_PB[value.kind],
        members=map(member_pb, value.members),
        member_count=value.member_count,
        latest_message=value.latest,
        created_at_ms=value.created_at_ms,
        updated_at_ms=value.updated_at_ms,
        created_by=value.created_by,
        owner_id=value.owner_id,
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
