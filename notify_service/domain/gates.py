"""Who may be asked now: for each provider its slots, its rate and its breaker. Pure: the time is passed in.

Three rules make it fair. A provider that does not answer uses up its own few slots and then none, until one
probe after a back-off is answered. One that asks for a pause gets it. And providers that have not answered
lately, which anybody can add by registering a Web Push endpoint or a webhook, share a small number of slots:
however many of them hang, those that answer keep theirs, and those that the settings name get theirs.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from mesh.backoff import Backoff
from mesh.breaker import Circuit, State

MAX_PAUSE_SECONDS: Final = 600.0
"""The longest pause that a provider may ask for as a whole."""
_IDLE_MS: Final = 600_000
_TOGETHER_SECONDS: Final = 0.05
_MAX_GATES: Final = 1_000
_STRANGERS_LOOKED_AT: Final = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider is asked at most; the defaults suit all of them."""

    concurrency: int = 16
    """Attempts under way at one provider."""
    rate: float = 200.0
    """Attempts that begin at one provider per second, on average; a second's worth may come at once."""
    strangers: int = 32
    """Attempts under way at all providers together that have not answered lately."""
    per_stranger: int = 4
    """Of these at one of them."""
    total: int = 1024
    """Attempts under way in all."""
    threshold: int = 5
    """Failures in a row that open a breaker."""
    probe_seconds: float = 2.0
    """The first wait of an open breaker, at most."""
    max_probe_seconds: float = 60.0
    named: Collection[str] = ()
    """Providers that the settings name, so that nobody else can add them: these are no strangers."""


class Verdict(Enum):
    """What an attempt says about its provider."""

    ANSWERED = auto()
    """It works, whatever it thought of the request."""
    DOWN = auto()
    """It did not answer, or said that it is not able to."""
    UNKNOWN = auto()
    """The attempt did not get so far."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Providers whose deliveries may be claimed."""

    only: Collection[str] | None = None
    """Just these; None for all but `without`."""
    without: Collection[str] = ()
    after: str = ""
    """Only those whose names come after this one."""
    newest_first: bool = False
    """In the opposite order: the last provider by name first, and for each what became due last."""

    @property
    def limited(self) -> bool:
        """Whether some provider is known to have no room."""
        return self.only is not None or bool(self.without)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave for one attempt."""

    provider: str
    period: int
    probe: bool


@dataclass(slots=True)
class Gate:
    """What is known about one provider."""

    limits: Limits
    circuit: Circuit
    backoff: Backoff
    tokens: float
    filled_at_ms: int
    used_at_ms: int
    in_flight: int = 0
    paused_until_ms: int = 0
    saving: bool = False
    """The tokens are used up, and it waits for some to come together."""
    trusted: bool = False
    """Its last word was an answer."""
    named: bool = False
    """The settings name it."""

    def room(self, now_ms: int) -> int:
        """How many attempts may begin."""
        if now_ms < self.paused_until_ms:
            return 0
        if self.circuit.state is not State.CLOSED:
            return 1 if self.circuit.state is State.OPEN else 0
        self._fill(now_ms)
        slots = self.limits.concurrency
        if not self.trusted:
            slots = min(slots, self.limits.per_stranger)
        # Where the rate is what holds it up, some attempts begin together rather than each by itself.
        together = max(1.0, self.limits.rate * _TOGETHER_SECONDS)
        self.saving = self.tokens < (min(slots, together) if self.saving else 1.0)
        if self.saving:
            return 0
        return max(0, min(slots - self.in_flight, int(self.tokens)))

    @property
    def strangers(self) -> int:
        """Attempts under way, if it is one of those who share their slots."""
        return 0 if self.known else self.in_flight

    @property
    def known(self) -> bool:
        """Whether it shares no slots with those that anybody may have added."""
        return self.trusted or self.named

    def begin(self, now_ms: int) -> tuple[int, bool]:
        """Uses up a slot and a token; gives the period, and whether this attempt is the probe."""
        probe = self.circuit.state is State.OPEN
        if probe:
            self.circuit.probe_started()
        self.in_flight += 1
        self.tokens -= 1
        self.used_at_ms = now_ms
        return self.circuit.period, probe

    def end(self, ticket: Ticket, verdict: Verdict, now_ms: int, pause_seconds: float) -> None:
        """Frees the slot, and judges the provider."""
        self.in_flight -= 1
        self.used_at_ms = now_ms
        match verdict:
            case Verdict.ANSWERED:
                self.trusted = True
                self.backoff.reset()
                if self.circuit.answered():
                    self.paused_until_ms = 0
            case Verdict.DOWN:
                self.trusted = False
                if ticket.probe:
                    self.circuit.probe_failed()
                if self.circuit.failed(ticket.period) or ticket.probe:
                    self._pause(now_ms, self.backoff.next_delay())
                self._pause(now_ms, min(pause_seconds, MAX_PAUSE_SECONDS))
            case Verdict.UNKNOWN:
                if ticket.probe:
                    self.circuit.probe_failed()

    def idle(self, now_ms: int) -> bool:
        """Whether what is known is too old to matter."""
        return self.in_flight == 0 and now_ms - self.used_at_ms > _IDLE_MS

    def _pause(self, now_ms: int, seconds: float) -> None:
        self.paused_until_ms = max(self.paused_until_ms, now_ms + math.ceil(seconds * 1000))

    def _fill(self, now_ms: int) -> None:
        # The clock may have been set back.
        passed = max(0, now_ms - self.filled_at_ms) / 1000
        self.tokens = min(max(1.0, self.limits.rate), self.tokens + passed * self.limits.rate)
        self.filled_at_ms = now_ms


@dataclass(slots=True)
class Gates:
    """The providers that this process has met lately."""

    limits: Limits
    on_change: Callable[[str, State], None] = lambda _provider, _state: None
    """Called with each provider whose breaker opened or closed."""
    _gates: dict[str, Gate] = field(default_factory=dict)
    _in_flight: int = 0
    _strangers: int = 0
    """Of these, at providers that are not trusted."""

    def scope(self, now_ms: int, after: str = "", *, newest_first: bool = False) -> Scope | None:
        """Whose deliveries are worth claiming; None when nobody has room."""
        if self._in_flight >= self.limits.total:
            return None
        if self._strangers_left <= 0:
            only = [name for name, gate in self._gates.items() if gate.known and gate.room(now_ms)]
            only += [name for name in self.limits.named if name not in self._gates]
            return Scope(only, (), after, newest_first) if only else None
        full = [name for name, gate in self._gates.items() if not gate.room(now_ms)]
        return Scope(None, full, after, newest_first)

    def room(self, now_ms: int) -> int:
        """How many deliveries are worth looking at: those that may begin, and a few of strangers."""
        known = sum(gate.room(now_ms) for gate in self._gates.values() if gate.known)
        known += sum(self.limits.per_stranger for name in self.limits.named if name not in self._gates)
        strangers = max(0, min(_STRANGERS_LOOKED_AT, self._strangers_left))
        return min(known + strangers, self.limits.total - self._in_flight)

    def take(self, provider: str, now_ms: int) -> Ticket | None:
        """Leave for one attempt, or None when there is no room at the provider."""
        gate = self._gates.get(provider) or self._add(provider, now_ms)
        if not gate.room(now_ms) or self._in_flight >= self.limits.total:
            return None
        if not gate.known and self._strangers_left <= 0:
            return None
        period, probe = gate.begin(now_ms)
        self._in_flight += 1
        self._strangers += not gate.known
        return Ticket(provider, period, probe)

    def give_back(self, ticket: Ticket, now_ms: int) -> None:
        """The attempt did not begin."""
        self._gates[ticket.provider].tokens += 1
        self.end(ticket, Verdict.UNKNOWN, now_ms)

    def end(self, ticket: Ticket, verdict: Verdict, now_ms: int, pause_seconds: float = 0) -> None:
        """The attempt ended; `pause_seconds` is what the provider asked for, if it did."""
        gate = self._gates[ticket.provider]
        permitted, strangers = gate.circuit.permits, gate.strangers
        gate.end(ticket, verdict, now_ms, pause_seconds)
        self._in_flight -= 1
        self._strangers += gate.strangers - strangers
        if gate.circuit.permits is not permitted:
            self.on_change(ticket.provider, gate.circuit.state)

    def forget_idle(self, now_ms: int) -> None:
        """Drops what was not used lately, and more of it when that is a lot."""
        resting = sorted(
            (name for name, gate in self._gates.items() if not gate.in_flight),
            key=lambda name: self._gates[name].used_at_ms,
        )
        excess = len(self._gates) - _MAX_GATES
        for number, name in enumerate(resting):
            if number < excess or self._gates[name].idle(now_ms):
                gate = self._gates.pop(name)
                if not gate.circuit.permits:
                    self.on_change(name, State.CLOSED)

    def _add(self, provider: str, now_ms: int) -> Gate:
        backoff = Backoff(
            base=self.limits.probe_seconds,
            cap=self.limits.max_probe_seconds,
            floor=self.limits.probe_seconds / 4,
        )
        gate = Gate(
            self.limits,
            Circuit(self.limits.threshold),
            backoff,
            max(1.0, self.limits.rate),
            now_ms,
            now_ms,
            named=provider in self.limits.named,
        )
        self._gates[provider] = gate
        return gate

    @property
    def _strangers_left(self) -> int:
        return self.limits.strangers - self._strangers
