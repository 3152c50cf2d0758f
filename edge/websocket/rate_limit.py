"""How many frames one connection may send."""

from dataclasses import dataclass, field
from enum import Enum

from mesh.token_bucket import TokenBucket, hint_ms


class Verdict(Enum):
    """What to do with a frame."""

    ALLOWED = "take it"
    LIMITED = "refuse it and say when to try again"
    FLOOD = "close the connection"


@dataclass(slots=True)
class FrameBudget:
    """Up to ``burst`` frames at once and ``per_second`` lasting.

    A refused frame takes nothing from that, so who obeys the hints is served at the full rate. But to refuse
    is work too: frames to be refused have a budget of their own of the same size, and beyond it is a flood.
    Time is given in seconds of any monotonic clock.
    """

    per_second: float
    burst: int
    retry_after_ms: int = field(init=False, default=0)
    """Of the last frame: milliseconds until it is let through."""
    _frames: TokenBucket = field(init=False)
    _refusals: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        self._frames = TokenBucket(self.per_second, self.burst)
        self._refusals = TokenBucket(self.per_second, self.burst)

    def take(self, now: float, price: float = 1.0) -> Verdict:
        """Counts one frame, which costs as much as ``price`` small ones."""
        wait = self._frames.take(now, price)
        self.retry_after_ms = hint_ms(wait)
        if not wait:
            return Verdict.ALLOWED
        return Verdict.FLOOD if self._refusals.take(now, price) else Verdict.LIMITED
