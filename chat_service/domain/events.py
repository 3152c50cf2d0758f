"""What can happen in a chat, as the generated ``ChatEvent``; and what is published to one user.

An event that gets a place in the log has an id from its beginning; a signal has none: it is published and not
kept. ``at_ms`` is when it happened, Unix milliseconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chat_service import proto_codec
from chat_service.domain.model import Chat, Member
from mesh.ids import new_object_id
from parley.common.v1.message_pb2 import Message
from parley.events.v1 import chat_event_pb2 as pb
from parley.events.v1.chat_event_pb2 import ChatEvent


def message_sent(
    said: Message, at_ms: int, *, traceparent: str = "", unread_by_sender: bool = False
) -> ChatEvent:
    """A message with its id; of what its sender ``said``, what is the sender's to say."""
    # Set field by field, here and wherever each message passes: that takes a third of what keywords do.
    event = ChatEvent()
    event.chat_id = said.chat_id
    event.id = new_object_id()
    event.occurred_at_ms = at_ms
    event.traceparent = traceparent
    event.unread_by_sender = unread_by_sender
    message = event.message
    message.id = event.id
    message.chat_id = said.chat_id
    message.sender_id = said.sender_id
    message.type = said.type
    message.content = said.content
    message.client_msg_id = said.client_msg_id
    message.created_at_ms = at_ms
    if said.mentions:
        message.mentions.extend(said.mentions)
    return event


def members_added(chat_id: str, actor_id: str, members: Iterable[Member], at_ms: int) -> ChatEvent:
    """Users became members."""
    body = pb.MembersAdded(actor_id=actor_id, members=map(proto_codec.member_pb, members))
    return ChatEvent(chat_id=chat_id, id=new_object_id(), occurred_at_ms=at_ms, members_added=body)


def member_removed(chat_id: str, actor_id: str, user_id: str, at_ms: int) -> ChatEvent:
    """A user is a member no more, and nobody was promoted for it as far as is known."""
    body = pb.MemberRemoved(actor_id=actor_id, user_id=user_id)
    return ChatEvent(chat_id=chat_id, id=new_object_id(), occurred_at_ms=at_ms, member_removed=body)


def with_members(event: ChatEvent, members: Iterable[Member]) -> ChatEvent:
    """A ``members_added`` event as it is about these members alone."""
    changed = _copy(event)
    del changed.members_added.members[:]
    changed.members_added.members.extend(map(proto_codec.member_pb, members))
    return changed


def with_promoted(event: ChatEvent, user_id: str) -> ChatEvent:
    """A ``member_removed`` event for which that user became admin; empty: nobody."""
    changed = _copy(event)
    changed.member_removed.promoted_id = user_id
    return changed


def typing(chat_id: str, user_id: str, at_ms: int, *, is_typing: bool) -> ChatEvent:
    """A member types, or stopped."""
    body = pb.Typing(user_id=user_id, is_typing=is_typing)
    return ChatEvent(chat_id=chat_id, occurred_at_ms=at_ms, typing=body)


def read(chat_id: str, user_id: str, message_id: str, at_ms: int, *, seq: int, number: int) -> ChatEvent:
    """A member's read pointer moved; ``message_id`` is empty when the whole chat was marked."""
    body = pb.Read(user_id=user_id, message_id=message_id, seq=seq, number=number, whole_chat=not message_id)
    return ChatEvent(chat_id=chat_id, occurred_at_ms=at_ms, read=body)


def delivered(chat_id: str, user_id: str, message_id: str, seq: int, at_ms: int) -> ChatEvent:
    """A member's delivery pointer moved."""
    body = pb.Delivered(user_id=user_id, message_id=message_id, seq=seq)
    return ChatEvent(chat_id=chat_id, occurred_at_ms=at_ms, delivered=body)


def presence(user_id: str, chat_ids: Sequence[str], at_ms: int, *, online: bool) -> list[ChatEvent]:
    """A user came online or went offline: one event for each chat that it is published in."""
    body = pb.Presence(user_id=user_id, online=online, last_seen_ms=at_ms, chat_ids=chat_ids)
    return [ChatEvent(chat_id=chat_id, occurred_at_ms=at_ms, presence=body) for chat_id in chat_ids]


def _copy(event: ChatEvent) -> ChatEvent:
    copy = ChatEvent()
    copy.CopyFrom(event)
    return copy


@dataclass(frozen=True, slots=True)
class ChatAdded:
    """For one user: became a member of ``chat``."""

    chat: Chat
    actor_id: str


@dataclass(frozen=True, slots=True)
class ChatRemoved:
    """For one user: is a member no more."""

    chat_id: str
    actor_id: str


@dataclass(frozen=True, slots=True)
class SessionsRevoked:
    """For one user: a connection must end, or all (empty) whose token was issued before that time."""

    connection_id: str
    issued_before_ms: int


UserNews = ChatAdded | ChatRemoved | SessionsRevoked
