"""What the content of a message stands for, as documents name it."""

from collections.abc import Mapping
from typing import Final

from parley.common.v1.message_pb2 import MessageType

TYPE_NAMES: Final[Mapping[MessageType.ValueType, str]] = {
    MessageType.MESSAGE_TYPE_TEXT: "text",
    MessageType.MESSAGE_TYPE_IMAGE: "image",
    MessageType.MESSAGE_TYPE_FILE: "file",
}
TYPES: Final[Mapping[str, MessageType.ValueType]] = {name: value for value, name in TYPE_NAMES.items()}
