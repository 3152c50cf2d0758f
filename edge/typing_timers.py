"""Who types where, as clients of this edge were told, and the end of it when nobody says so.

The edge of a typist may die with the typist, so each receiving edge ends typing by itself 3 seconds after the
last announcement.
"""

import asyncio
from collections.abc import Callable
from typing import Final

TYPING_SECONDS: Final = 3.0


class TypingTimers:
    """A timer per chat and typist. `on_end(chat_id, user_id)` is called when one runs out."""

    def __init__(self, on_end: Callable[[str, str], None], *, seconds: float = TYPING_SECONDS) -> None:
        self._on_end = on_end
        self._seconds = seconds
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def started(self, chat_id: str, user_id: str) -> bool:
        """Somebody types (still); true if that is news."""
        key = (chat_id, user_id)
        running = self._timers.get(key)
        if running is not None:
            running.cancel()
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._seconds, self._run_out, chat_id, user_id)
        return running is None

    def stopped(self, chat_id: str, user_id: str) -> bool:
        """Somebody stopped; true if that is news."""
        timer = self._timers.pop((chat_id, user_id), None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def close(self) -> None:
        """Cancels all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _run_out(self, chat_id: str, user_id: str) -> None:
        del self._timers[chat_id, user_id]
        self._on_end(chat_id, user_id)
