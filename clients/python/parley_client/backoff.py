"""Waits between attempts: exponential with full jitter, so that many clients do not come back together."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Each wait, in seconds, is drawn between 0 and a ceiling that doubles from `base` to `cap`."""

    base: float = 0.25
    cap: float = 20.0
    _ceiling: float = 0.0

    def next_delay(self) -> float:
        """The next wait."""
        self._ceiling = min(self.cap, self._ceiling * 2 or self.base)
        return random.uniform(0, self._ceiling)  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        """Starts over; call it once the thing has worked."""
        self._ceiling = 0.0
