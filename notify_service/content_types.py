"""What the types of messages are called here."""

from collections.abc import Mapping
from typing import Final

from notify_service.domain.notification import ContentType
from parley.common.v1.message_pb2 import MessageType

_CONTENT_TYPES: Final[Mapping[MessageType.ValueType, ContentType]] = {
    MessageType.MESSAGE_TYPE_TEXT: ContentType.TEXT,
    MessageType.MESSAGE_TYPE_IMAGE: ContentType.IMAGE,
    MessageType.MESSAGE_TYPE_FILE: ContentType.FILE,
}


def content_type_of(value: MessageType.ValueType) -> ContentType:
    """What a message holds; a type that only a later release knows is shown as text, as clients show it."""
    return _CONTENT_TYPES.get(value, ContentType.TEXT)
