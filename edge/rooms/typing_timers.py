"""The end of typing when nobody says so.

The edge of a typist may die with the typist, so each receiving edge ends typing by itself 3 seconds after the
last announcement. Who types in a room stands in the room.
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

    def start(self, chat_id: str, user_id: str) -> None:
        """Somebody types (still): the time begins anew."""
        self.cancel(chat_id, user_id)
        loop = asyncio.get_running_loop()
        self._timers[chat_id, user_id] = loop.call_later(self._seconds, self._run_out, chat_id, user_id)

    def cancel(self, chat_id: str, user_id: str) -> None:
        """Somebody stopped."""
        timer = self._timers.pop((chat_id, user_id), None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Cancels all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _run_out(self, chat_id: str, user_id: str) -> None:
        del self._timers[chat_id, user_id]
        self._on_end(chat_id, user_id)
