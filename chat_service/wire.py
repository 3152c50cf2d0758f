"""The one place where the service's values become protobuf and come back. Pure."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final

from chat_service.domain.events import (
    Change,
    ChatAdded,
    ChatRemoved,
    Delivered,
    MembersAdded,
    Presence,
    Read,
    Signal,
    Typing,
    UserNews,
)
from chat_service.domain.model import (
    Chat,
    ChatKind,
    ContentType,
    GroupSettings,
    LatestMessage,
    Member,
    Message,
    MessageStatus,
    NewMessage,
    PointerMove,
    Position,
    Role,
)
from chat_service.domain.resume import Entry
from parley.common.v1 import chat_pb2, message_pb2
from parley.events.v1 import chat_event_pb2, jobs_pb2, user_event_pb2

LATEST_TEXT_LIMIT: Final = 200  # characters, as LatestMessage.text documents

_MORE: Final = 0x80  # the bit that says that a varint goes on

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


def role(pb: chat_pb2.Role.ValueType) -> Role:
    """A role that is not known grants nothing."""
    if pb == chat_pb2.ROLE_ADMIN:
        return Role.ADMIN
    return Role.MEMBER if pb == chat_pb2.ROLE_MEMBER else Role.NONE


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


def latest_of_entry(encoded: bytes) -> LatestMessage:
    """The last message as the head of the log has it."""
    event = chat_event_pb2.ChatEvent.FromString(encoded)
    return LatestMessage(
        text=event.message.content[:LATEST_TEXT_LIMIT],
        sender_id=event.message.sender_id,
        timestamp_ms=event.message.created_at_ms,
        seq=event.seq,
        type=_TYPE_FROM_PB.get(event.message.type, ContentType.TEXT),
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
        kind=ChatKind.DIRECT if pb.type == chat_pb2.CHAT_TYPE_DIRECT else ChatKind.GROUP,
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
        users=[member.user_id for member in value.members],
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


def new_message_entry(value: NewMessage) -> bytes:
    """A message as an entry without a position; the log's script appends it."""
    return chat_event_pb2.ChatEvent(
        chat_id=value.chat_id,
        occurred_at_ms=value.created_at_ms,
        message=message_pb2.Message(
            id=value.id,
            chat_id=value.chat_id,
            sender_id=value.sender_id,
            type=_TYPE_TO_PB[value.type],
            content=value.content,
            client_msg_id=value.client_msg_id,
            created_at_ms=value.created_at_ms,
        ),
    ).SerializeToString()


def change_entry(chat_id: str, value: Change, at_ms: int) -> bytes:
    """A change as an entry without a position."""
    event = chat_event_pb2.ChatEvent(chat_id=chat_id, occurred_at_ms=at_ms)
    if isinstance(value, MembersAdded):
        event.members_added.actor_id = value.actor_id
        event.members_added.members.extend(map(member_pb, value.members))
    else:
        event.member_removed.actor_id = value.actor_id
        event.member_removed.user_id = value.user_id
        event.member_removed.promoted_id = value.promoted_id
    return event.SerializeToString()


def at_position(entry: bytes, position: Position) -> bytes:
    """The bytes that the log's script made of ``entry``; see scripts/_place.lua."""
    return b"".join(
        (
            entry,
            b"\x69" + position.epoch.to_bytes(8, "little"),
            b"\x71" + position.seq.to_bytes(8, "little"),
            b"\x79" + position.number.to_bytes(8, "little"),
        )
    )


def signal_event(chat_id: str, value: Signal, at_ms: int) -> bytes:
    """A signal: an event that has no position."""
    event = chat_event_pb2.ChatEvent(chat_id=chat_id, occurred_at_ms=at_ms)
    match value:
        case Typing():
            event.typing.user_id = value.user_id
            event.typing.is_typing = value.is_typing
        case Read():
            event.read.user_id = value.user_id
            event.read.message_id = value.message_id
            event.read.seq = value.seq
            event.read.number = value.number
            event.read.whole_chat = not value.message_id
        case Delivered():
            event.delivered.user_id = value.user_id
            event.delivered.message_id = value.message_id
            event.delivered.seq = value.seq
        case Presence():
            event.presence.user_id = value.user_id
            event.presence.online = value.online
            event.presence.last_seen_ms = value.last_seen_ms
            event.presence.chat_ids.extend(value.chat_ids)
    return event.SerializeToString()


def entry(encoded: bytes) -> Entry:
    """A log entry with what is needed to judge it."""
    event = chat_event_pb2.ChatEvent.FromString(encoded)
    return Entry(event.seq, event.occurred_at_ms, encoded, event.HasField("message"))


def stored_entry(event: chat_event_pb2.ChatEvent) -> Entry:
    """The same of an entry that the store answered."""
    return Entry(event.seq, event.occurred_at_ms, event.SerializeToString(), event.HasField("message"))


def messages_of_entries(entries: Iterable[bytes]) -> list[Message]:
    """The messages among log entries, in order."""
    events = map(chat_event_pb2.ChatEvent.FromString, entries)
    return [
        message(event.message, seq=event.seq, number=event.number)
        for event in events
        if event.WhichOneof("body") == "message"
    ]


def user_event(user_id: str, news: UserNews, at_ms: int) -> bytes:
    """What a user's channel carries."""
    event = user_event_pb2.UserEvent(user_id=user_id, occurred_at_ms=at_ms)
    if isinstance(news, ChatAdded):
        event.chat_added.chat.CopyFrom(chat_pb(news.chat))
        event.chat_added.actor_id = news.actor_id
    elif isinstance(news, ChatRemoved):
        event.chat_removed.chat_id = news.chat_id
        event.chat_removed.actor_id = news.actor_id
    else:
        event.sessions_revoked.connection_id = news.connection_id
        event.sessions_revoked.issued_before_ms = news.issued_before_ms
    return event.SerializeToString()


def persist_batch(entries: Sequence[bytes]) -> bytes:
    """A ``PersistBatch`` of entries that are encoded already: field 1, length-delimited, once per entry."""
    parts: list[bytes] = []
    for entry in entries:
        parts.extend((b"\x0a", _varint(len(entry)), entry))
    return b"".join(parts)


def pointer_batch(moves: Iterable[PointerMove]) -> bytes:
    """A ``PointerBatch``."""
    return jobs_pb2.PointerBatch(
        pointers=[
            jobs_pb2.Pointer(
                chat_id=move.chat_id,
                user_id=move.user_id,
                read_seq=move.read.seq,
                read_number=move.read.number,
                delivered_seq=move.delivered_seq,
                at_ms=move.at_ms,
            )
            for move in moves
        ]
    ).SerializeToString()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE | _MORE)
        value //= _MORE
    out.append(value)
    return bytes(out)
