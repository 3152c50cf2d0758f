"""What a message looks like when it is shown later."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chat_service.domain.model import MemberPointers, Message, MessageStatus, ReadReceipt

READERS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the history, the oldest first."""

    messages: tuple[Message, ...]
    has_more: bool


def derive(message: Message, pointers: Iterable[MemberPointers]) -> Message:
    """The message with its status and readers, which follow from the pointers of the other members."""
    others = [item for item in pointers if item.user_id != message.sender_id]
    readers = sorted(
        (item for item in others if item.read.seq >= message.seq), key=lambda item: item.read.at_ms
    )
    if readers:
        status = MessageStatus.READ
    elif any(item.delivered_seq >= message.seq for item in others):
        status = MessageStatus.DELIVERED
    else:
        status = MessageStatus.SENT
    receipts = tuple(ReadReceipt(item.user_id, item.read.at_ms) for item in readers[:READERS_SHOWN])
    return replace(message, status=status, read_by=receipts)
