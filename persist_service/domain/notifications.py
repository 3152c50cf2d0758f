"""What notify_service has to know to tell members of messages, or to tell them no more."""

from dataclasses import dataclass

from persist_service.domain.chats import Chat, Role
from persist_service.domain.log import Message


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member who may have to be told. ``last_active_ms`` is 0 without a live connection."""

    user_id: str
    last_active_ms: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message was stored, and these members, never its sender, may have to be told."""

    message: Message
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
    last_active_ms: int = 0
