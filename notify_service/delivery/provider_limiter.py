"""Who may be asked now: for each provider its slots, its rate and its breaker. Pure: the time is passed in.

Three rules make it fair. A provider that does not answer uses up its own few slots and then none, until one
probe after a back-off is answered. One that asks for a pause gets it. And slots are earned: anybody can add
providers, by registering a Web Push endpoint or a webhook, so these share a small number of slots until they
have answered often and quickly, and a failure takes half of what they earned (additive increase,
multiplicative decrease, as in RFC 5681). However many of them hang or dawdle, those that answer keep theirs,
and those that the settings name need none of what is shared.
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
_MAX_PROVIDERS: Final = 1_000
_SHARING_LOOKED_AT: Final = 16
_QUICK_MS: Final = 2_000
"""Who takes longer, and is named by nobody, earns nothing by it, and loses what one quick answer earns."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider is asked at most; the defaults suit all of them."""

    concurrency: int = 16
    """Attempts under way at one provider."""
    rate: float = 200.0
    """Attempts that begin at one provider per second, on average; a second's worth may come at once."""
    shared: int = 32
    """Attempts under way beyond what was earned, at all providers together that the settings do not name."""
    unearned: int = 4
    """Of these at one of them; one that is named has as many for itself."""
    answers_per_slot: int = 8
    """Answers that earn a provider one slot."""
    total: int = 1024
    """Attempts under way at all providers together that the settings do not name."""
    threshold: int = 5
    """Failures in a row that open a breaker."""
    probe_seconds: float = 2.0
    """The first wait of an open breaker, at most."""
    max_probe_seconds: float = 60.0
    named: Collection[str] = ()
    """Providers that the settings name: nobody else can add those."""


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
    begun_at_ms: int


@dataclass(slots=True)
class ProviderState:
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
    earned: float = 0.0
    """Slots of its own."""
    named: bool = False
    """The settings name it."""

    def room(self, now_ms: int, shared: int) -> int:
        """How many attempts may begin, where so many slots are left of those that are shared."""
        if now_ms < self.paused_until_ms:
            return 0
        if self.circuit.state is not State.CLOSED:
            may_ask = self.named or shared > 0 or self.in_flight < int(self.earned)
            return 1 if self.circuit.state is State.OPEN and may_ask else 0
        self._fill(now_ms)
        # Where the rate is what holds it up, some attempts begin together rather than each by itself.
        together = max(1.0, self.limits.rate * _TOGETHER_SECONDS)
        self.saving = self.tokens < (min(self._most, together) if self.saving else 1.0)
        return 0 if self.saving else max(0, min(self._free(shared), int(self.tokens)))

    @property
    def unearned(self) -> int:
        """Attempts under way that take up what is shared."""
        return 0 if self.named else max(0, self.in_flight - int(self.earned))

    @property
    def _most(self) -> int:
        return min(self.limits.concurrency, int(self.earned) + self.limits.unearned)

    def _free(self, shared: int) -> int:
        free = self._most - self.in_flight
        if self.named:
            return free
        return min(free, max(0, int(self.earned) - self.in_flight) + shared)

    def begin(self, provider: str, now_ms: int) -> Ticket:
        """Uses up a slot and a token."""
        probe = self.circuit.state is State.OPEN
        if probe:
            self.circuit.probe_started()
        self.in_flight += 1
        self.tokens -= 1
        self.used_at_ms = now_ms
        return Ticket(provider, self.circuit.period, probe, now_ms)

    def end(self, ticket: Ticket, verdict: Verdict, now_ms: int, pause_seconds: float) -> None:
        """Frees the slot, and judges the provider."""
        self.in_flight -= 1
        self.used_at_ms = now_ms
        match verdict:
            case Verdict.ANSWERED:
                quick = self.named or now_ms - ticket.begun_at_ms <= _QUICK_MS
                earned = self.earned + (1 if quick else -1) / self.limits.answers_per_slot
                self.earned = max(0.0, min(self.limits.concurrency, earned))
                self.backoff.reset()
                if self.circuit.answered():
                    self.paused_until_ms = 0
            case Verdict.DOWN:
                self.earned /= 2
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
class ProviderLimiter:
    """The providers that this process has met lately."""

    limits: Limits
    on_change: Callable[[str, State], None] = lambda _provider, _state: None
    """Called with each provider whose breaker opened or closed."""
    _providers: dict[str, ProviderState] = field(default_factory=dict)
    _in_flight: int = 0
    """At providers that the settings do not name."""
    _unearned: int = 0
    """Of these, what takes up shared slots."""

    def scope(self, now_ms: int, after: str = "", *, newest_first: bool = False) -> Scope | None:
        """Whose deliveries are worth claiming; None when nobody has room."""
        if self._in_flight < self.limits.total and self._shared_left > 0:
            full = [name for name, state in self._providers.items() if not self._room(state, now_ms)]
            return Scope(None, full, after, newest_first)
        only = [name for name, state in self._providers.items() if self._room(state, now_ms)]
        only += self._not_met
        return Scope(only, (), after, newest_first) if only else None

    def room(self, now_ms: int) -> int:
        """How many deliveries are worth looking at: those that may begin, and a few that share slots."""
        others = min(_SHARING_LOOKED_AT, self._shared_left)
        named = len(self._not_met) * self.limits.unearned
        for state in self._providers.values():
            if state.named:
                named += state.room(now_ms, 0)
            else:
                others += state.room(now_ms, 0)
        return named + max(0, min(others, self.limits.total - self._in_flight))

    def take(self, provider: str, now_ms: int) -> Ticket | None:
        """Leave for one attempt, or None when there is no room at the provider."""
        state = self._providers.get(provider) or self._add(provider, now_ms)
        if not self._room(state, now_ms):
            return None
        unearned = state.unearned
        ticket = state.begin(provider, now_ms)
        self._count(state, 1, unearned)
        return ticket

    def give_back(self, ticket: Ticket, now_ms: int) -> None:
        """The attempt did not begin."""
        self._providers[ticket.provider].tokens += 1
        self.end(ticket, Verdict.UNKNOWN, now_ms)

    def end(self, ticket: Ticket, verdict: Verdict, now_ms: int, pause_seconds: float = 0) -> None:
        """The attempt ended; `pause_seconds` is what the provider asked for, if it did."""
        state = self._providers[ticket.provider]
        permitted, unearned = state.circuit.permits, state.unearned
        state.end(ticket, verdict, now_ms, pause_seconds)
        self._count(state, -1, unearned)
        if state.circuit.permits is not permitted:
            self.on_change(ticket.provider, state.circuit.state)

    def forget_idle(self, now_ms: int) -> None:
        """Drops what was not used lately, and more of it when that is a lot."""
        resting = sorted(
            (name for name, state in self._providers.items() if not state.in_flight),
            key=lambda name: self._providers[name].used_at_ms,
        )
        excess = len(self._providers) - _MAX_PROVIDERS
        for number, name in enumerate(resting):
            if number < excess or self._providers[name].idle(now_ms):
                state = self._providers.pop(name)
                if not state.circuit.permits:
                    self.on_change(name, State.CLOSED)

    def _add(self, provider: str, now_ms: int) -> ProviderState:
        backoff = Backoff(
            base=self.limits.probe_seconds,
            cap=self.limits.max_probe_seconds,
            floor=self.limits.probe_seconds / 4,
        )
        state = ProviderState(
            self.limits,
            Circuit(self.limits.threshold),
            backoff,
            max(1.0, self.limits.rate),
            now_ms,
            now_ms,
            named=provider in self.limits.named,
        )
        self._providers[provider] = state
        return state

    def _room(self, state: ProviderState, now_ms: int) -> int:
        if not state.named and self._in_flight >= self.limits.total:
            return 0
        return state.room(now_ms, self._shared_left)

    def _count(self, state: ProviderState, begun: int, unearned_before: int) -> None:
        if not state.named:
            self._in_flight += begun
            self._unearned += state.unearned - unearned_before

    @property
    def _shared_left(self) -> int:
        # Who fails loses what was earned while attempts are under way: then more is taken than there is.
        return max(0, self.limits.shared - self._unearned)

    @property
    def _not_met(self) -> list[str]:
        return [name for name in self.limits.named if name not in self._providers]
