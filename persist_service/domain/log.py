"""Entries of a chat's log: events with a position, and what some of them change besides standing there.

An event is the generated ``ChatEvent``, here as on its way: what a later release puts into it stays in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from contract.latest import latest_text
from parley.common.v1.chat_pb2 import LatestMessage
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.chats import Head
from persist_service.domain.pointers import Pointer

EPOCH_JUMP: Final = 2**20
"""How far beyond the last position the next epoch of a log begins: old entries may still be on their way."""
VOID: Final = "void"
"""The kind, as stored, of an entry that says that nothing stands at its position."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What an event changes in documents of their own."""

    message: Message | None = None
    """The message to store, with its position."""
    pointers: tuple[Pointer, ...] = ()
    """Members' pointers to move forward. One with a read position means that the member has read."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One position of a chat's log; ``traceparent`` is the trace that handling it is a part of, or empty."""

    event: ChatEvent
    projection: Projection = Projection()
    traceparent: str = ""


def void(event: ChatEvent) -> ChatEvent:
    """The same position with nothing there: it keeps the log without a hole where a message is not stored."""
    return ChatEvent(
        chat_id=event.chat_id,
        occurred_at_ms=event.occurred_at_ms,
        epoch=event.epoch,
        seq=event.seq,
        number=event.number,
    )


def message_of(event: ChatEvent) -> Message:
    """The message of an event, with its position, which in the event stands beside it."""
    message = Message()
    message.CopyFrom(event.message)
    message.seq, message.number = event.seq, event.number
    return message


@dataclass(frozen=True, slots=True)
class SendKey:
    """What makes a message the same one, however often it is sent."""

    chat_id: str
    sender_id: str
    client_msg_id: str


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a batch of entries moves a chat. ``latest`` is None when the batch has no message of it."""

    head: Head
    updated_at_ms: int
    latest: LatestMessage | None


def advances(events: Iterable[ChatEvent]) -> list[Advance]:
    """One advance per chat: the highest position, and the message with the highest position."""
    by_chat: dict[str, list[ChatEvent]] = {}
    for event in events:
        by_chat.setdefault(event.chat_id, []).append(event)
    return [_advance(chat_id, of_chat) for chat_id, of_chat in by_chat.items()]


def _advance(chat_id: str, events: list[ChatEvent]) -> Advance:
    head = Head(
        chat_id,
        epoch=max(event.epoch for event in events),
        seq=max(event.seq for event in events),
        number=max(event.number for event in events),
    )
    messages = [event for event in events if event.HasField("message")]
    last = max(messages, key=lambda event: event.seq, default=None)
    return Advance(
        head, max(event.occurred_at_ms for event in events), None if last is None else _latest(last)
    )


def _latest(event: ChatEvent) -> LatestMessage:
    message = event.message
    return LatestMessage(
        text=latest_text(message.content),
        sender_id=message.sender_id,
        timestamp_ms=message.created_at_ms,
        seq=event.seq,
        type=message.type,
    )


class Verdict(Enum):
    """What became of one entry that was offered to a store."""

    STORED = auto()
    REPEAT = auto()
    """The same entry was there: the position and the id are the same."""
    DUPLICATE = auto()
    """The message was there under another id (same ``client_msg_id``, same content): the first one stays."""
    REJECTED = auto()


@dataclass(frozen=True, slots=True)
class Insertion:
    """A verdict; ``reason`` says why an entry was rejected and quotes none of its content."""

    verdict: Verdict
    reason: str = ""
