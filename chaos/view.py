"""A client's own copy of one chat, kept by the rules of docs/websocket-protocol.md."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Line:
    """One message as a client has it."""

    seq: int
    number: int
    message_id: str
    sender_id: str
    key: str
    content: str


class Verdict(Enum):
    """What a client has to do about a live entry."""

    NEW = "new"
    REPEAT = "repeat"
    """At or below what is known: dropped."""
    GAP = "gap"
    """Entries between are missing; it is kept aside until they were fetched."""
    NEW_EPOCH = "new epoch"
    """The log was rebuilt; it is kept aside until the chat was fetched again."""


@dataclass(slots=True)
class View:
    """The messages of one chat. `last` is the `seq` up to which nothing is missing, in this `epoch`."""

    epoch: int = 0
    last: int = 0
    head: tuple[int, int] = (0, 0)
    """Epoch and `seq` of the furthest entry that was heard of."""
    lines: dict[int, Line] = field(default_factory=dict)
    changes: set[int] = field(default_factory=set)
    """Where entries stand that are no message; history does not show those up to `reloaded`."""
    reloaded: int = 0
    """The `seq` up to which the view was loaded from history, 0 when it all came over the log."""
    _aside: dict[int, tuple[int, Line | None]] = field(default_factory=dict)

    def live(self, epoch: int, seq: int, line: Line | None) -> Verdict:
        """Takes an entry that came live; `line` is None for changes that are no message."""
        if epoch < self.epoch or seq <= self.last:
            return Verdict.REPEAT
        self.hear(epoch, seq)
        if epoch == self.epoch and seq == self.last + 1:
            self.last = seq
            self._keep(seq, line)
            return Verdict.NEW
        self._aside[seq] = (epoch, line)
        return Verdict.NEW_EPOCH if epoch > self.epoch else Verdict.GAP

    def hear(self, epoch: int, seq: int) -> bool:
        """Takes note of where the log stands; true if that is more than is known."""
        self.head = max(self.head, (epoch, seq))
        return (epoch, seq) > (self.epoch, self.last)

    def fetched(self, lines: Iterable[Line], head: tuple[int, int]) -> bool:
        """Takes what was missing: all messages after `last`, from a time when the log stood at `head`.

        When that is in a new epoch, the lines are the whole chat. False when something is missing still,
        because what was kept aside has a gap of its own.
        """
        epoch, seq = head
        if epoch > self.epoch:
            self.lines.clear()
            self.changes.clear()
            self.epoch, self.last = epoch, 0
        for line in lines:
            self.lines[line.seq] = line
            seq = max(seq, line.seq)
        self.last = self.reloaded = max(self.last, seq)
        return self._take_up()

    def resumed(self, epoch: int, seq: int) -> bool:
        """The server sent all up to `seq` as live entries; what is missing of it now is void.

        False when something is missing still, as with `fetched`.
        """
        self.epoch = max(self.epoch, epoch)
        for place in sorted(place for place, (of, _) in self._aside.items() if of == epoch and place <= seq):
            self._keep(place, self._aside.pop(place)[1])
        self.last = max(self.last, seq)
        return self._take_up()

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return len(self.lines) + len(self.changes)

    def in_order(self) -> list[Line]:
        """The messages as a person would read them."""
        return [self.lines[seq] for seq in sorted(self.lines)]

    def _keep(self, seq: int, line: Line | None) -> None:
        if line is None:
            self.changes.add(seq)
        else:
            self.lines[seq] = line

    def _take_up(self) -> bool:
        aside, self._aside = self._aside, {}
        for seq in sorted(aside):
            entry_epoch, entry = aside[seq]
            self.live(entry_epoch, seq, entry)  # what follows a gap is put aside again
        return not self._aside
