"""How often something may happen: frames of one connection, handshakes."""

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


@dataclass(slots=True)
class TokenBucket:
    """Holds what a second gives, at least one. What is refused costs nothing."""

    per_second: float
    _tokens: float = field(init=False)
    _at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._tokens = self._most

    def take(self, now: float) -> bool:
        """Whether it may happen now (seconds of any monotonic clock)."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def _most(self) -> float:
        return max(1.0, self.per_second)
