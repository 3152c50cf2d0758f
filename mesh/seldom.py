"""Log lines that strangers can cause, and that must not fill the disk."""

import time
from collections.abc import Callable


class Seldom:
    """Lets one line through per `seconds`, and counts the others. `clock` gives seconds, only forward."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next_at = float("-inf")
        self._left_out = 0

    def due(self) -> int | None:
        """How many lines were left out since the last one, when it is time for another; else None."""
        now = self._clock()
        if now < self._next_at:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        self._next_at = now + self._seconds
        return left_out
