"""Any order of arrivals, repeats, crashes and reads gives every message exactly one fate, at a due time.

The machine drives the states that the store keeps, as intake and poller do, and keeps its own account beside.
"""

from __future__ import annotations

from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from notify_service.domain.notification import Message
from notify_service.domain.wording import preview
from notify_service.inbox.inbox import Arrival, Inbox, InboxKey, Rhythm, Shown, WaitingMessage

CHAT = "c" * 24
RHYTHM = Rhythm(delay_ms=1_000, delay_max_ms=5_000, repeat_ms=10_000)
CLAIM_MS = 30_000
CLAIM = "e" * 24
SEQS = st.integers(1, 12)  # few, so that most arrivals are repeats sooner or later


class InboxMachine(RuleBasedStateMachine):
    """One user and chat."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Inbox(InboxKey("bob", CHAT))
        self.now = 1_000_000_000
        self.arrived: dict[int, int] = {}
        self.fates: dict[int, str] = {}
        self.told_at: list[int] = []
        self.cleared: list[str] = []
        self.read_to = 0

    @rule(seq=SEQS)
    def deliver(self, seq: int) -> None:
        """A message, or one that came before, in any order."""
        message = Message(f"{seq:024x}", CHAT, seq, "alice", "hello", 500_000 + seq)
        arrival = Arrival(
            WaitingMessage(message.id, seq), preview(message), direct=True, offline=True, at_ms=self.now
        )
        before = self.inbox
        self.inbox = self.inbox.take(arrival)
        if seq in self.arrived:
            assert self.inbox is before, "a repeat changes nothing"
        else:
            self.arrived[seq] = self.now

    @rule(seq=SEQS)
    def read(self, seq: int) -> None:
        self.inbox = self.inbox.read(seq)
        self.read_to = max(self.read_to, seq)

    @rule(milliseconds=st.sampled_from([1, 400, 1_000, 4_999, 10_000, CLAIM_MS]))
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds

    @precondition(lambda self: self.is_due())
    @rule(notified=st.booleans(), crashes=st.booleans(), late=st.none() | SEQS)
    def tell(self, *, notified: bool, crashes: bool, late: int | None) -> None:
        """One round of a poller, into which an arrival may fall, and which may be cut off."""
        claimed = self.inbox = self.inbox.claim(CLAIM, self.now + CLAIM_MS)
        assert not self.is_due(), "nobody else takes what is claimed"
        if late is not None:
            self.deliver(late)
        if crashes:
            return
        batch, clearing = claimed.firing, claimed.to_clear
        shown = None
        if batch and notified:
            shown = Shown(batch.id, batch.last.seq, batch.last.id, ("d" * 24,))
            self.told_at.append(self.now)
        elif clearing:
            self.cleared.append(clearing.batch_id)
        if batch:
            for message in batch.messages:
                assert message.seq not in self.fates, "decided a second time"
                self.fates[message.seq] = batch.id if notified else "suppressed"
        cleared_id = clearing.batch_id if clearing and not shown else ""
        settle = partial(
            Inbox.settle,
            claim_id=CLAIM,
            batch_id=batch.id if batch else "",
            shown=shown,
            cleared_id=cleared_id,
            at_ms=self.now,
        )
        self.inbox = settle(self.inbox)
        # A repeat, say of a poller whose claim had run out.
        assert settle(self.inbox) == self.inbox

    def is_due(self) -> bool:
        due = self.inbox.due_ms(RHYTHM)
        return due is not None and due <= self.now

    @invariant()
    def every_message_waits_or_has_a_fate(self) -> None:
        waiting = {
            message.seq
            for batch in (self.inbox.waiting, self.inbox.firing)
            if batch
            for message in batch.messages
        }
        assert waiting | self.fates.keys() == self.arrived.keys()
        assert not waiting & self.fates.keys()

    @invariant()
    def what_waits_becomes_due_in_time(self) -> None:
        due = self.inbox.due_ms(RHYTHM)
        if self.inbox.waiting and not self.inbox.firing and not self.inbox.claimed_until_ms:
            assert due is not None
            first = min(self.arrived[message.seq] for message in self.inbox.waiting.messages)
            last_told = self.told_at[-1] if self.told_at else 0
            if not self.inbox.to_clear:
                assert due >= last_told + RHYTHM.repeat_ms
                assert due >= first + RHYTHM.delay_ms
            assert due <= max(first + RHYTHM.delay_max_ms, last_told + RHYTHM.repeat_ms)

    @invariant()
    def nothing_is_cleared_twice(self) -> None:
        assert len(set(self.cleared)) == len(self.cleared)

    def teardown(self) -> None:
        """Left alone, everything is decided, and nothing that was read is shown for good."""
        for _ in range(6):
            self.now += CLAIM_MS
            if self.is_due():
                self.tell(notified=False, crashes=False, late=None)
        assert self.fates.keys() == self.arrived.keys()
        shown = self.inbox.shown
        assert shown is None or shown.seq > self.inbox.read_seq
        assert self.inbox.due_ms(RHYTHM) is None


TestInbox = InboxMachine.TestCase
TestInbox.settings = settings(max_examples=150, stateful_step_count=60)
