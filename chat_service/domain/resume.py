"""What a client that was away is sent: which part of a log it misses, and when what it has is invalid."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from chat_service.domain.model import Head, MembershipState

GIVE_UP_MS: Final = 15 * 60 * 1_000
"""A hole below an entry of this age is for good: longer than all delayed retries of the store together."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a client has seen a chat; ``epoch`` 0 when it does not say."""

    chat_id: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A log entry as it was delivered live, with what is needed to judge it."""

    seq: int
    occurred_at_ms: int
    encoded: bytes
    is_message: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The positions of a chat with ``after_seq < seq <= upto_seq``."""

    chat_id: str
    after_seq: int
    upto_seq: int

    @property
    def size(self) -> int:
        """How many positions these are."""
        return self.upto_seq - self.after_seq


@dataclass(frozen=True, slots=True)
class Slice:
    """What came after a cursor, as ``LogSlice`` of the contract says."""

    state: MembershipState
    entries: tuple[Entry, ...] = ()
    complete: bool = False
    reset: bool = False


def begin(cursor: Cursor, head: Head) -> tuple[int, bool]:
    """After which position to read, and whether what the client has is worthless.

    A cursor in the future saw a log that is no more: there is nothing to add to it. A cursor of an earlier
    epoch may miss entries of that epoch which nobody can name, so it gets the newest epoch from its
    beginning.
    """
    if cursor.seq > head.seq or cursor.epoch > head.epoch:
        return head.seq, True
    if cursor.seq < head.base or 0 < cursor.epoch < head.epoch:
        return head.base, True
    return cursor.seq, False


def dense(window: Window, *sources: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries of the window from its beginning up to the first position that no source has."""
    known = {entry.seq: entry for source in sources for entry in source}
    run: list[Entry] = []
    while (entry := known.get(window.after_seq + 1 + len(run))) is not None and len(run) < window.size:
        run.append(entry)
    return tuple(run)


def is_lost(after_seq: int, stored: Iterable[Entry], now_ms: int) -> bool:
    """Whether the position after ``after_seq``, which is not stored, never will be: old later ones are."""
    return any(entry.occurred_at_ms < now_ms - GIVE_UP_MS for entry in stored if entry.seq > after_seq)
