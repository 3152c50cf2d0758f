"""Which faults happen when: decided by the seed alone, before the run begins."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: The first fault comes after this: a quorum queue that is killed within about 3 s of its declaration may
#: come back broken.
FIRST_AT: Final = 4.0
_PAUSE_BETWEEN: Final = (1.0, 3.0)
_OVERLAPS: Final = 0.25
"""How often a fault begins while the one before it lasts."""


class Kind(StrEnum):
    """What is done to a part or to a link."""

    KILL = "kill"
    """kill -9; started again after some seconds, on the data it had."""
    LOSE = "lose"
    """kill -9, and its data are removed before it is started again."""
    PAUSE = "pause"
    """SIGSTOP, then SIGCONT."""
    FILL = "fill"
    """The disk of a backing server takes nothing more, then there is room again (`chaos.full_disk`)."""
    SKEW = "skew"
    """kill -9, and its life until the next one is led by a wrong clock (`chaos.wrong_clock`)."""
    CUT = "cut"
    RESET = "reset"
    REFUSE = "refuse"
    BLACKHOLE = "blackhole"
    DELAY = "delay"
    THROTTLE = "throttle"


_PARTS: Final = ("edge-a", "edge-b", "chat", "persist", "notify", "redis", "rabbitmq", "mongo")
_STORES: Final = ("redis", "rabbitmq", "mongo")
_WITH_CLOCKS: Final = ("edge-a", "edge-b", "chat")
_SKEWS: Final = (-300.0, -8.0, 8.0, 300.0)
"""Seconds: beyond the leeway of tokens, where the others refuse it, and within, where its times are used."""
_LINK_KINDS: Final = (Kind.CUT, Kind.RESET, Kind.REFUSE, Kind.BLACKHOLE, Kind.DELAY, Kind.THROTTLE)
#: Seconds that a fault lasts, before its cause is removed.
_LASTS: Final = {
    Kind.KILL: (0.2, 2.5),
    Kind.LOSE: (0.2, 1.0),
    Kind.PAUSE: (0.5, 4.0),
    Kind.FILL: (1.0, 3.0),
    Kind.SKEW: (2.0, 5.0),
    Kind.CUT: (0.0, 0.0),
    Kind.RESET: (0.0, 0.0),
    Kind.REFUSE: (0.5, 3.0),
    Kind.BLACKHOLE: (0.5, 4.0),
    Kind.DELAY: (2.0, 5.0),
    Kind.THROTTLE: (2.0, 4.0),
}
_STARTED_AGAIN: Final = frozenset({Kind.KILL, Kind.LOSE, Kind.FILL, Kind.SKEW})
#: Seconds that a part needs to come up, where that is long: nothing else should begin before by accident.
_STARTS: Final = {"rabbitmq": 6.0, "chat": 1.5, "persist": 1.5, "notify": 1.5, "edge-a": 1.5, "edge-b": 1.5}


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a schedule; times are seconds since the load began."""

    number: int
    at: float
    kind: Kind
    target: str
    """A part (`redis`), or a link (`chat>redis`)."""
    seconds: float
    amount: float = 0
    """Milliseconds of a delay (half as much is jitter), bytes per second of a throttle, seconds of a skew."""

    def __str__(self) -> str:
        """The line that is printed when it happens."""
        amount = {
            Kind.DELAY: f" by {self.amount:.0f} ms",
            Kind.THROTTLE: f" to {self.amount:.0f} B/s",
            Kind.SKEW: f" by {self.amount:+.0f} s",
        }
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{amount.get(self.kind, '')}{lasts}"


def plan(seed: int, seconds: float, links: Sequence[str]) -> tuple[Fault, ...]:
    """The faults of a run of that length; the same for the same arguments, always.

    All have ended, as far as that is known beforehand, when `seconds` are over.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    faults: list[Fault] = []
    at = busy_until = FIRST_AT
    for kind, target in _deal(rng, sorted(links)):
        overlaps = at < busy_until
        if overlaps and kind is Kind.LOSE:
            # A lost Redis stands alone, so that what it costs can be told from what others do.
            at, overlaps = busy_until + rng.uniform(*_PAUSE_BETWEEN), False
        lasts = round(rng.uniform(*_LASTS[kind]), 2)
        ends = at + lasts + (_STARTS.get(target, 0.5) if kind in _STARTED_AGAIN else 0)
        if ends > seconds:
            return tuple(faults)
        faults.append(Fault(len(faults) + 1, round(at, 2), kind, target, lasts, _amount(rng, kind)))
        busy_until = max(busy_until, ends)
        # Never more than two at once: neighbours have nothing in common, others may.
        if not overlaps and kind is not Kind.LOSE and rng.random() < _OVERLAPS:
            at += lasts / 2
        else:
            at = busy_until + rng.uniform(*_PAUSE_BETWEEN)
    raise AssertionError("the deck never ends")


def _deal(rng: random.Random, links: Sequence[str]) -> Iterator[tuple[Kind, str]]:
    """Kinds and targets for ever: deck after deck with all of them; neighbours have nothing in common."""
    deck: list[tuple[Kind, str]] = []
    last = ""
    while True:
        place = next((n for n, (_, target) in enumerate(deck) if not _touches(target, last)), None)
        if place is None:
            deck += _shuffled(rng, links)
            continue
        kind, last = deck.pop(place)
        yield kind, last


def _shuffled(rng: random.Random, links: Sequence[str]) -> list[tuple[Kind, str]]:
    deck = [
        *((Kind.KILL, part) for part in _PARTS),
        (Kind.LOSE, "redis"),
        *((Kind.PAUSE, part) for part in rng.sample(_PARTS, k=3)),
        *((kind, rng.choice(links)) for kind in _LINK_KINDS),
        *((Kind.FILL, store) for store in _STORES),
        (Kind.SKEW, rng.choice(_WITH_CLOCKS)),
    ]
    rng.shuffle(deck)
    return deck


def _touches(target: str, other: str) -> bool:
    return bool(set(target.split(">")) & set(other.split(">")))


def _amount(rng: random.Random, kind: Kind) -> float:
    match kind:
        case Kind.DELAY:
            return float(rng.randrange(20, 300))
        case Kind.THROTTLE:
            return float(rng.randrange(4_000, 40_000))
        case Kind.SKEW:
            return rng.choice(_SKEWS)
        case _:
            return 0.0
