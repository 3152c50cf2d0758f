"""What one user has still to be notified of in one chat, and what the user's devices show of it. Pure.

A message that comes in joins the batch that waits, until that is due. Then the batch is claimed and decided
as a whole, while a next one may gather behind it. Positions of decided messages are remembered for a while,
so that a job that comes again is known and changes nothing.
"""

from dataclasses import dataclass, replace
from typing import Final

from notify_service.domain.decision import Reason
from notify_service.domain.ledger import entry_id
from notify_service.domain.push import Push, PushKind
from notify_service.domain.wording import Preview

MAX_WAITING: Final = 500
"""Messages that one batch names: the last ones. Earlier ones leave no trace."""
MAX_HANDLED: Final = 100
"""Decided positions that are remembered one by one; what is older counts as decided."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a chat's members are notified, in milliseconds."""

    delay_ms: int
    """The chat must be silent for so long."""
    delay_max_ms: int
    """After this time they are notified even when it is not."""
    repeat_ms: int
    """The next time comes at least so long after the one before."""


@dataclass(frozen=True, slots=True)
class InboxKey:
    """There is one inbox per user and chat."""

    user_id: str
    chat_id: str


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message that waits."""

    id: str
    seq: int
    mentions: bool = False
    """It mentions the user."""
    traceparent: str = ""
    """The trace that it is a part of; empty unless that is recorded."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that came in for one user."""

    message: WaitingMessage
    preview: Preview
    direct: bool
    offline: bool
    """The user had no live connection when the job was made, as far as is known."""
    at_ms: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that are notified together."""

    id: str
    """24 lower-case hex digits."""
    first_at_ms: int
    last_at_ms: int
    messages: tuple[WaitingMessage, ...]
    """By position; at least one."""
    preview: Preview
    """Of the last of them."""
    direct: bool
    offline: bool
    """The user had no live connection when each of them came, as far as is known."""

    @property
    def last(self) -> WaitingMessage:
        """The one that came last in the chat."""
        return self.messages[-1]


@dataclass(frozen=True, slots=True)
class Shown:
    """What devices show of the chat."""

    batch_id: str
    seq: int
    """The last message it is about."""
    message_id: str
    """Of that message."""
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inbox:
    """One user's view of one chat."""

    key: InboxKey
    version: str = ""
    """Which stored state this is; empty for one that was never stored."""
    waiting: Batch | None = None
    firing: Batch | None = None
    """The batch that is being decided."""
    claim_id: str = ""
    """Whose decision it is, until `claimed_until_ms`."""
    claimed_until_ms: int = 0
    """Until then nobody else decides; 0 when nobody does."""
    handled: tuple[int, ...] = ()
    """Positions of the last decided messages, ascending."""
    floor: int = 0
    """Whatever is up to this position counts as decided."""
    notified_seq: int = 0
    notified_at_ms: int = 0
    """When the user was last notified of this chat."""
    read_seq: int = 0
    left_seq: int = 0
    """Where the user last left the chat or was removed: up to there nothing is the user's to see any more."""
    shown: Shown | None = None

    @property
    def to_clear(self) -> Shown | None:
        """What devices show although it was read, or is not the user's to see any more."""
        return self.shown if self.shown and self.shown.seq <= max(self.read_seq, self.left_seq) else None

    @property
    def why_cleared(self) -> Reason:
        """Why what is `to_clear` is taken away."""
        gone = self.shown is not None and self.shown.seq <= self.left_seq
        return Reason.NOT_A_MEMBER if gone else Reason.READ

    @property
    def at_rest(self) -> bool:
        """Nothing waits and nothing is shown."""
        return not (self.waiting or self.firing or self.shown)

    def due_ms(self, rhythm: Rhythm) -> int | None:
        """When there is something to do for it, Unix milliseconds; None for never."""
        if self.claimed_until_ms:
            return self.claimed_until_ms
        if self.firing or self.to_clear:
            return 0
        if self.waiting is None:
            return None
        silent = self.waiting.last_at_ms + rhythm.delay_ms
        latest = self.waiting.first_at_ms + rhythm.delay_max_ms
        earliest = self.notified_at_ms + rhythm.repeat_ms
        return max(min(silent, latest), earliest)

    def take(self, arrival: Arrival) -> "Inbox":
        """With this message waiting; unchanged when it is known already."""
        seq = arrival.message.seq
        return self if seq <= self.floor or seq in self.handled else self._add(arrival)

    def reconsider(self, arrival: Arrival) -> "Inbox":
        """With this message waiting although it was decided already; unchanged when it was notified or read.

        It has no other batch than it would have had: one that was notified is known by `notified_seq`.
        """
        over = max(self.notified_seq, self.read_seq, self.left_seq)
        return self if arrival.message.seq <= over else self._add(arrival)

    def _add(self, arrival: Arrival) -> "Inbox":
        seq = arrival.message.seq
        if _holds(self.waiting, seq) or _holds(self.firing, seq):
            return self
        if self.waiting is None:
            return replace(self, waiting=self._open(arrival))
        batch = self.waiting
        messages = tuple(sorted((*batch.messages, arrival.message), key=lambda message: message.seq))
        dropped, kept = messages[:-MAX_WAITING], messages[-MAX_WAITING:]
        waiting = replace(
            batch,
            last_at_ms=max(batch.last_at_ms, arrival.at_ms),
            messages=kept,
            preview=arrival.preview if seq > batch.last.seq else batch.preview,
            offline=batch.offline and arrival.offline,
        )
        return replace(self, waiting=waiting, floor=max(self.floor, *(message.seq for message in dropped), 0))

    def read(self, seq: int) -> "Inbox":
        """With everything up to there read; unchanged where that makes no difference."""
        if seq <= self.read_seq or self.at_rest:
            return self
        return replace(self, read_seq=seq)

    def left(self, seq: int) -> "Inbox":
        """With the membership over at this position; unchanged where that makes no difference."""
        if seq <= self.left_seq or self.at_rest:
            return self
        return replace(self, left_seq=seq)

    def claim(self, claim_id: str, until_ms: int) -> "Inbox":
        """With what waits moved to where it is decided, unless an earlier batch still is there."""
        claimed = replace(self, claim_id=claim_id, claimed_until_ms=until_ms)
        return claimed if self.firing else replace(claimed, firing=self.waiting, waiting=None)

    def settle(
        self,
        claim_id: str,
        batch_id: str,
        *,
        shown: Shown | None,
        cleared_id: str,
        at_ms: int,
        read_seq: int = 0,
    ) -> "Inbox":
        """With a claimed batch decided; unchanged where somebody else did it meanwhile.

        Args:
            claim_id: the claim that ends with it.
            batch_id: the batch that was decided; empty for none.
            shown: what devices show from now on; None when the user is not notified.
            cleared_id: the batch whose notification was taken away; empty for none.
            read_seq: how far the user had read when it was decided; 0 where nobody asked.
            at_ms: when.
        """
        after = self
        if self.shown and self.shown.batch_id == cleared_id:
            after = replace(after, shown=None)
        if self.firing and self.firing.id == batch_id:
            after = _decided(after, self.firing)
            if shown:
                after = replace(after, shown=shown, notified_seq=shown.seq, notified_at_ms=at_ms)
        after = after.read(read_seq)
        # A claim that ran out may be another's by now.
        return replace(after, claim_id="", claimed_until_ms=0) if self.claim_id == claim_id else after

    def why_outdated(self, push: Push) -> Reason | None:
        """Why a push that was decided for this inbox, and could not go out at once, should not go out now.

        A device that it reached would show what was read or replaced, or lose what replaced it.
        """
        if not self.version or not push.batch_id or (self.firing and self.firing.id == push.batch_id):
            return None  # nothing is known, or it was decided just now
        shows = push.kind is PushKind.SHOW
        if shows and 0 < push.seq <= self.left_seq:
            return Reason.NOT_A_MEMBER
        if self.shown is None:
            return Reason.READ if shows else None
        if self.shown.batch_id != push.batch_id:
            return Reason.COLLAPSED
        return Reason.READ if shows and self.to_clear else None

    def _open(self, arrival: Arrival) -> Batch:
        # The same for the same message: a message never begins two batches of which any is notified.
        opening = entry_id(
            arrival.preview.at_ms, self.key.user_id, self.key.chat_id, arrival.message.id, "batch"
        )
        return Batch(
            id=opening,
            first_at_ms=arrival.at_ms,
            last_at_ms=arrival.at_ms,
            messages=(arrival.message,),
            preview=arrival.preview,
            direct=arrival.direct,
            offline=arrival.offline,
        )


def _decided(inbox: Inbox, batch: Batch) -> Inbox:
    handled = sorted({*inbox.handled, *(message.seq for message in batch.messages)})
    forgotten, kept = handled[:-MAX_HANDLED], handled[-MAX_HANDLED:]
    return replace(inbox, firing=None, handled=tuple(kept), floor=max(inbox.floor, *forgotten[-1:], 0))


def _holds(batch: Batch | None, seq: int) -> bool:
    return batch is not None and any(message.seq == seq for message in batch.messages)
