"""How many frames one connection may send."""

from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """What to do with a frame."""

    ALLOWED = "take it"
    LIMITED = "refuse it and say when to try again"
    FLOOD = "close the connection"


@dataclass(slots=True)
class FrameBudget:
    """A token bucket that may go into debt.

    Holds up to `burst` frames and gains `per_second`. A refused frame costs too, so one who does not wait is
    not served; a debt of another `burst` is a flood. Time is given in seconds of any monotonic clock.
    """

    per_second: float
    burst: int
    _tokens: float = field(init=False)
    _at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float) -> Verdict:
        """Counts one frame."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second) - 1
        self._at = now
        if self._tokens >= 0:
            return Verdict.ALLOWED
        return Verdict.LIMITED if self._tokens > -self.burst else Verdict.FLOOD

    @property
    def retry_after_ms(self) -> int:
        """Milliseconds from the last `take` until a frame is allowed again."""
        return max(0, int((1 - self._tokens) / self.per_second * 1000) + 1)
