"""Showing how much the outboxes hold, which is what an operator looks at while the broker is away."""

import asyncio
from contextlib import suppress
from typing import Final

from chat_service.metrics import OUTBOX_CHATS, OUTBOX_ENTRIES, OUTBOX_OLDEST_SECONDS
from chat_service.ports.log import OutboxSizes
from mesh.clock import now_ms
from mesh.errors import Unavailable

_COUNT_UP_TO: Final = 1_000


class WatchOutbox:
    """Not a part of the sweeper, which rests while there is no broker to hand anything to."""

    def __init__(self, outbox: OutboxSizes, *, interval_seconds: float) -> None:
        self._outbox = outbox
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Looks until cancelled; misses a turn while Redis is away."""
        while True:
            with suppress(Unavailable):
                await self.look()
            await asyncio.sleep(self._interval_seconds)

    async def look(self) -> None:
        """One look. Raises ``Unavailable``."""
        size = await self._outbox.size(_COUNT_UP_TO)
        age_ms = 0 if size.oldest_ms is None else max(0, now_ms() - size.oldest_ms)
        OUTBOX_CHATS.set(size.chats)
        OUTBOX_ENTRIES.set(size.entries)
        OUTBOX_OLDEST_SECONDS.set(age_ms / 1_000)
