"""What the content of a message stands for, as documents name it."""

from collections.abc import Mapping
from typing import Final

from parley.common.v1.message_pb2 import MessageType

_NAMES: Final[Mapping[MessageType.ValueType, str]] = {
    MessageType.MESSAGE_TYPE_TEXT: "text",
    MessageType.MESSAGE_TYPE_IMAGE: "image",
    MessageType.MESSAGE_TYPE_FILE: "file",
}
_TYPES: Final = {name: value for value, name in _NAMES.items()}


def type_to_document(value: MessageType.ValueType) -> str | int:
    """Its name; the number of a type that a later release sends, which that release reads as well."""
    return _NAMES.get(value, int(value))


def type_from_document(stored: str | int) -> MessageType.ValueType:
    """What `type_to_document` was given; unspecified for a name that only a later release knows."""
    if isinstance(stored, int):
        return MessageType.ValueType(stored)
    return _TYPES.get(stored, MessageType.MESSAGE_TYPE_UNSPECIFIED)
