"""What the jobs of the queue `notification-send` say."""

from dataclasses import dataclass
from enum import Enum


class ContentType(Enum):
    """What the content of a message stands for."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message."""

    id: str
    chat_id: str
    seq: int
    sender_id: str
    content: str
    created_at_ms: int
    content_type: ContentType = ContentType.TEXT
    sender_name: str = ""
    """Empty when it is not known."""
    chat_name: str = ""
    """Empty for direct chats."""
    direct: bool = True
    mentions: frozenset[str] = frozenset()
    traceparent: str = ""
    """The trace that it is a part of; empty unless that is recorded."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member who may have to be notified, and how busy with the app when the job was made."""

    user_id: str
    last_active_ms: int
    """When a live connection of the user last did something; 0 without one, or where it is not known."""
    partial: bool = False
    """That connection does not receive all chats of the user."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """These members, at most 500 and never the sender, may have to be notified of a message."""

    message: Message
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """A member has read everything up to this position."""

    chat_id: str
    user_id: str
    seq: int


Notification = NewMessage | ReadUpTo
