"""What notify_service has to know to tell members of messages, or to tell them no more."""

from dataclasses import dataclass

from parley.common.v1.message_pb2 import Message
from persist_service.domain.chats import Chat, Role


@dataclass(frozen=True, slots=True)
class Activity:
    """When a live connection of a user last did something; 0 without one.

    ``partial``: that connection does not receive all of the user's chats.
    """

    last_ms: int = 0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member who may have to be notified."""

    user_id: str
    activity: Activity


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message was stored, and these members, never its sender, may have to be notified.

    ``message`` has its position; ``traceparent`` is the trace that it is a part of, or empty.
    """

    message: Message
    traceparent: str
    chat: Chat
    sender_name: str
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """A member has read everything up to a position."""

    chat_id: str
    user_id: str
    seq: int


Notification = NewMessage | ReadUpTo


@dataclass(frozen=True, slots=True)
class Attention:
    """What a member knows of a chat by now. With role ``NONE`` the rest is 0."""

    role: Role
    read_seq: int = 0
    delivered_seq: int = 0
    unread: int = 0
    activity: Activity = Activity()
