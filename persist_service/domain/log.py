"""Entries of a chat's log: messages and other changes."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from contract.latest import latest_text
from persist_service.domain.chats import Head, LatestMessage

EPOCH_JUMP: Final = 2**20
"""How far beyond the last position the next life of a log begins: old entries may still be on their way."""
VOID: Final = "void"
"""The kind of a change that says that nothing stands at its position."""


class MessageType(StrEnum):
    """What the content of a message stands for, as stored."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message; ``epoch`` is 0 where nobody needs it."""

    id: str
    chat_id: str
    seq: int
    number: int
    sender_id: str
    type: MessageType
    content: str
    client_msg_id: str
    created_at_ms: int
    epoch: int = 0
    mentions: tuple[str, ...] = ()
    traceparent: str = field(default="", compare=False)
    """The trace that it is a part of while it is handled; not stored."""
    unread_by_sender: bool = field(default=False, compare=False)
    """Sending it was no reading; not stored."""


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that is no message."""

    kind: str
    actor_id: str
    joined: tuple[str, ...] = field(default=(), compare=False)
    """Who became a member by it; not stored but with the event."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One position of a chat's log.

    ``event`` is the whole ChatEvent as it was logged; empty for void positions, and for messages that were
    read from the store.
    """

    chat_id: str
    epoch: int
    seq: int
    number: int
    occurred_at_ms: int
    body: Message | Change
    event: bytes = b""


def void(entry: LogEntry) -> LogEntry:
    """The same position with nothing there: it keeps the log without a hole where a message is not stored."""
    return replace(entry, body=Change(VOID, ""), event=b"")


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


def advances(entries: Iterable[LogEntry]) -> list[Advance]:
    """One advance per chat: the highest position, and the message with the highest position."""
    by_chat: dict[str, list[LogEntry]] = {}
    for entry in entries:
        by_chat.setdefault(entry.chat_id, []).append(entry)
    return [_advance(chat_id, of_chat) for chat_id, of_chat in by_chat.items()]


def _advance(chat_id: str, entries: list[LogEntry]) -> Advance:
    head = Head(
        chat_id,
        epoch=max(entry.epoch for entry in entries),
        seq=max(entry.seq for entry in entries),
        number=max(entry.number for entry in entries),
    )
    messages = [entry.body for entry in entries if isinstance(entry.body, Message)]
    last = max(messages, key=lambda message: message.seq, default=None)
    return Advance(
        head, max(entry.occurred_at_ms for entry in entries), None if last is None else _latest(last)
    )


def _latest(message: Message) -> LatestMessage:
    text = latest_text(message.content)
    return LatestMessage(text, message.sender_id, message.created_at_ms, message.seq, message.type)
