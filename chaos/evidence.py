"""Everything that a run leaves behind and that its checks judge."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from chaos.records import Acked, FaultBegan, Record
from chaos.view import Line


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken. `rule` is short and stable; `text` says where."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A stored log entry that is no message; `void` is a place without an entry."""

    seq: int
    added: tuple[str, ...] = ()
    removed: str = ""
    void: bool = False


@dataclass(frozen=True, slots=True)
class Notified:
    """An entry of the ledger, as far as it is about one user."""

    user_id: str
    message_ids: tuple[str, ...]
    """What was told together, the last one at the end."""
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class Stores:
    """What the databases hold, and what the sender of notifications showed."""

    messages: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    """By chat, in the order of `seq`."""
    changes: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    members: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By chat: user and the `seq` that the user has read up to."""
    ledger: Sequence[Notified] = ()
    shown: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a user was really shown a notification; the message is the last one that it is about."""

    @cached_property
    def by_id(self) -> Mapping[str, tuple[str, Line]]:
        """Chat and message by message id."""
        return {line.message_id: (chat, line) for chat, lines in self.messages.items() for line in lines}


@dataclass(frozen=True, slots=True)
class ClientView:
    """What one device believes at the end."""

    user_id: str
    chats: Mapping[str, Sequence[Line]]
    changes: Mapping[str, Collection[int]] = field(default_factory=dict)
    """By chat: where it saw entries that are no message."""
    reloaded: Mapping[str, int] = field(default_factory=dict)
    """By chat: the `seq` up to which it comes from the history, which does not show those."""


RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Evidence:
    """`absent` users never connected, so each message of their chats must have been told to them."""

    records: Sequence[Record]
    stores: Stores
    views: Mapping[str, ClientView] = field(default_factory=dict)
    absent: Collection[str] = ()

    def of(self, kind: type[RecordT]) -> Iterator[RecordT]:
        """All records of one kind, in order."""
        return (record for record in self.records if isinstance(record, kind))

    @cached_property
    def acked_ids(self) -> frozenset[str]:
        """The messages that some client was told are durable."""
        return frozenset(record.message_id for record in self.of(Acked))

    def faults(self, fault: str, target: str) -> int:
        """How many faults of that kind this target had."""
        return sum(record.fault == fault and record.target == target for record in self.of(FaultBegan))

    @cached_property
    def redis_was_lost(self) -> bool:
        """Whether Redis lost its data: what nobody acked may then be gone (docs/architecture.md)."""
        return self.faults("lose", "redis") > 0
