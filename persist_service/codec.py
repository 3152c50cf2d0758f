"""Between the values of this service and the messages of the contract."""

from typing import Final

from parley.common.v1 import chat_pb2
from parley.common.v1.chat_pb2 import ChatType as ChatTypeProto
from parley.common.v1.chat_pb2 import Role as RoleProto
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.persist.v1 import persist_service_pb2 as pb
from persist_service.domain.chat_pages import UserChat
from persist_service.domain.chats import Chat, ChatType, GroupSettings, Head, Member, Membership, Role
from persist_service.domain.log import message_of
from persist_service.domain.notifications import Attention

_ROLES: Final = {
    Role.NONE: RoleProto.ROLE_NONE,
    Role.MEMBER: RoleProto.ROLE_MEMBER,
    Role.ADMIN: RoleProto.ROLE_ADMIN,
}
_FILTERS: Final = {RoleProto.ROLE_MEMBER: Role.MEMBER, RoleProto.ROLE_ADMIN: Role.ADMIN}
_CHAT_TYPES: Final = {
    ChatType.DIRECT: ChatTypeProto.CHAT_TYPE_DIRECT,
    ChatType.GROUP: ChatTypeProto.CHAT_TYPE_GROUP,
}


def role_filter(role: RoleProto.ValueType) -> Role | None:
    """Whom a list of members is about; None: everybody."""
    return _FILTERS.get(role)


def member_to_proto(member: Member) -> chat_pb2.Member:
    """A membership."""
    return chat_pb2.Member(user_id=member.user_id, role=_ROLES[member.role], joined_at_ms=member.joined_at_ms)


def head_to_proto(head: Head, member_count: int) -> pb.StoredHead:
    """Where a log ends."""
    return pb.StoredHead(
        chat_id=head.chat_id,
        epoch=head.epoch,
        seq=head.seq,
        number=head.number,
        member_count=member_count,
    )


def found_send_to_proto(event: ChatEvent | None) -> pb.FoundSend:
    """What is stored under a key."""
    return pb.FoundSend() if event is None else pb.FoundSend(message=message_of(event), epoch=event.epoch)


def chat_to_proto(chat: Chat) -> chat_pb2.Chat:
    """A chat, with the fields of an asking user unset."""
    return chat_pb2.Chat(
        id=chat.id,
        type=_CHAT_TYPES[chat.type],
        members=[member_to_proto(member) for member in chat.members],
        member_count=chat.member_count,
        latest_message=chat.latest_message,
        created_at_ms=chat.created_at_ms,
        updated_at_ms=chat.updated_at_ms,
        name=chat.name,
        description=chat.description,
        avatar=chat.avatar,
        settings=_settings_to_proto(chat.settings),
        created_by=chat.created_by if chat.type is ChatType.GROUP else "",
        owner_id=chat.owner_id,
        seq=chat.head.seq,
        epoch=chat.head.epoch,
    )


def user_chat_to_proto(mine: UserChat) -> pb.UserChat:
    """That a user is in a chat."""
    return pb.UserChat(
        chat_id=mine.state.chat_id,
        type=_CHAT_TYPES[mine.state.type],
        member_count=mine.state.member_count,
        role=_ROLES[mine.role],
        read_seq=mine.read_seq,
        read_number=mine.read_number,
        last_number=mine.state.last_number,
    )


def membership_to_proto(membership: Membership | None) -> pb.Membership:
    """A membership; None is that of someone who is no member."""
    if membership is None:
        return pb.Membership(role=RoleProto.ROLE_NONE)
    return pb.Membership(
        role=_ROLES[membership.role], read_seq=membership.read_seq, read_number=membership.read_number
    )


def attention_to_proto(attention: Attention) -> pb.Attention:
    """What a member knows of a chat."""
    return pb.Attention(
        role=_ROLES[attention.role],
        read_seq=attention.read_seq,
        delivered_seq=attention.delivered_seq,
        unread=attention.unread,
        last_active_ms=attention.activity.last_ms,
        partial=attention.activity.partial,
    )


def _settings_to_proto(settings: GroupSettings | None) -> chat_pb2.GroupSettings | None:
    if settings is None:
        return None
    return chat_pb2.GroupSettings(is_public=settings.is_public, allow_invites=settings.allow_invites)
