"""What is checked of the items of the queues, so that a bad one is dead-lettered alone."""

from typing import Final

from contract import limits
from contract.user_ids import USER_ID_RULE, is_user_id
from mesh.amqp.batches import BadItemError
from mesh.ids import is_object_id
from parley.common.v1.message_pb2 import Message, MessageType

_INT64_LIMIT: Final = 2**63
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999
# Far above any setting of chat_service: only what no sender could have meant is refused here.
_CONTENT_LIMIT: Final = 1_000_000


def check_id(name: str, value: str) -> None:
    """24 lower-case hex digits. This and all below raise ``BadItemError`` that names the field."""
    if not is_object_id(value):
        raise BadItemError(f"{name} is not an id")


def check_user(name: str, user_id: str) -> None:
    """A user id, by the rule of ``contract.user_ids``."""
    if not is_user_id(user_id):
        raise BadItemError(f"{name} {USER_ID_RULE}")


def check_position(name: str, position: int, *, at_least: int = 0) -> None:
    """A position or count that MongoDB, whose integers are signed, can hold."""
    if not at_least <= position < _INT64_LIMIT:
        raise BadItemError(f"{name} is not within {at_least} and 2**63 - 1")


def check_time(name: str, epoch_ms: int) -> None:
    """A time that every library can show."""
    if not 0 <= epoch_ms <= _LAST_MS:
        raise BadItemError(f"{name} is not a time before the year 10000")


def check_message(message: Message) -> None:
    """A message that can be stored; its position stands elsewhere."""
    check_id("message.id", message.id)
    check_id("message.chat_id", message.chat_id)
    check_user("message.sender_id", message.sender_id)
    if not 1 <= len(message.client_msg_id) <= limits.CLIENT_MSG_ID_LENGTH:
        raise BadItemError(f"message.client_msg_id has not 1 to {limits.CLIENT_MSG_ID_LENGTH} characters")
    if not 1 <= len(message.content) <= _CONTENT_LIMIT:
        raise BadItemError(f"message.content has not 1 to {_CONTENT_LIMIT} characters")
    check_time("message.created_at_ms", message.created_at_ms)
    if len(message.mentions) > limits.MENTIONS:
        raise BadItemError(f"message.mentions names more than {limits.MENTIONS} users")
    for user_id in message.mentions:
        check_user("message.mentions", user_id)
    if message.type == MessageType.MESSAGE_TYPE_UNSPECIFIED:
        raise BadItemError("message.type is not set")
