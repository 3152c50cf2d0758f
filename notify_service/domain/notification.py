"""What users are told of."""

from dataclasses import dataclass
from enum import Enum


class ContentType(Enum):
    """What the content of a message stands for."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Notification:
    """One user to be told of one message. The pair of user and message makes it one and the same."""

    user_id: str
    chat_id: str
    message_id: str
    sender_id: str
    content: str
    content_type: ContentType = ContentType.TEXT
    sender_name: str = ""
    """Empty when it is not known."""
    chat_name: str = ""
    """Empty for direct chats."""
