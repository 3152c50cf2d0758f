"""Exponential back-off with full jitter.

"Full jitter" (Marc Brooker, AWS Architecture Blog, 2015): the wait is uniform between zero and the
exponential ceiling, so that clients which failed together do not come back together.
"""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """A sequence of waits in seconds. Not shared between tasks.

    ``base`` is the first ceiling, ``cap`` the largest. ``floor`` is a least wait: nothing spins when the
    jitter draws zero.
    """

    base: float = 0.1
    cap: float = 10.0
    factor: float = 2.0
    floor: float = 0.01
    rng: random.Random = field(default_factory=random.Random, repr=False)
    _ceiling: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        if not (0 < self.base <= self.cap and self.factor >= 1 and 0 <= self.floor <= self.cap):
            raise ValueError("need 0 < base <= cap, factor >= 1 and 0 <= floor <= cap")
        self._ceiling = self.base

    def next_delay(self) -> float:
        """The next wait in seconds, within [floor, cap]."""
        delay = max(self.floor, self.rng.uniform(0, self._ceiling))
        # Growing the ceiling, not base * factor ** attempt: no overflow after a night of failures.
        self._ceiling = min(self.cap, self._ceiling * self.factor)
        return delay

    def reset(self) -> None:
        """Starts over; call it once the thing has worked."""
        self._ceiling = self.base
