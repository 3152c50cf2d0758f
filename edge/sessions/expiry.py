"""When the token of a connection ends: a warning some time before, and the end."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_LONGEST_SECONDS: Final = 600.0  # looked at again after that: clocks are set, and timers have limits


class TokenExpiry:
    """Watches one token. `on_warning(milliseconds left)` is called once per token, `on_expired()` at its end.

    A token is good for `leeway_seconds` longer than it says, as for its verifier.
    """

    __slots__ = ("_ends_at", "_leeway", "_on_expired", "_on_warning", "_timer", "_warn", "_warned")

    def __init__(
        self,
        *,
        warn_seconds: float,
        leeway_seconds: float,
        on_warning: Callable[[int], None],
        on_expired: Callable[[], None],
    ) -> None:
        self._warn = warn_seconds
        self._leeway = leeway_seconds
        self._on_warning = on_warning
        self._on_expired = on_expired
        self._ends_at = 0.0
        self._warned = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left_ms(self) -> int:
        """Milliseconds until the token ends."""
        return max(0, int((self._ends_at - time.time()) * 1000))

    def watch(self, expires_at: int) -> None:
        """Watches a token that expires then (Unix seconds), in place of the one before."""
        self.cancel()
        self._ends_at = expires_at + self._leeway
        self._warned = False
        self._look()

    def cancel(self) -> None:
        """Calls nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        left = self._ends_at - time.time()
        if left <= 0:
            self._timer = None
            self._on_expired()
            return
        if left <= self._warn and not self._warned:
            self._warned = True
            self._on_warning(int(left * 1000))
        wait = left if self._warned else left - self._warn
        self._timer = asyncio.get_running_loop().call_later(min(wait, _LONGEST_SECONDS), self._look)
