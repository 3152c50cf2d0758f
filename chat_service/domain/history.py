"""What a message looks like when it is shown later."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chat_service.domain.model import MemberPointers
from chat_service.domain.resume import Window
from parley.common.v1.message_pb2 import Message, MessageStatus, ReadReceipt

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
        status = MessageStatus.MESSAGE_STATUS_READ
    elif any(item.delivered_seq >= message.seq for item in others):
        status = MessageStatus.MESSAGE_STATUS_DELIVERED
    else:
        status = MessageStatus.MESSAGE_STATUS_SENT
    shown = Message()
    shown.CopyFrom(message)
    shown.status = status
    shown.read_by.extend(
        ReadReceipt(user_id=item.user_id, read_at_ms=item.read.at_ms) for item in readers[:READERS_SHOWN]
    )
    return shown


def possible_gaps(
    chat_id: str, page: Sequence[Message], upper: tuple[int, int], base: int, *, ends: bool
) -> Iterator[Window]:
    """The parts of a page, the newest first, in which messages may be missing: numbers do not follow on.

    ``upper`` is the position and the number right above the page, ``base`` where this epoch of the log
    begins: of earlier epochs nothing is said, for their numbers may overlap. ``ends``: nothing older was
    found.
    """
    upper_seq, upper_number = upper
    places = [(message.seq, message.number) for message in page]
    for seq, number in (*places, (base, 0)) if ends else places:
        lower_seq = max(seq, base)
        if lower_seq < upper_seq - 1 and number != upper_number - 1:
            yield Window(chat_id, lower_seq, upper_seq - 1)
        upper_seq, upper_number = seq, number
