"""What is done for deliveries now and then: contents are forgotten, and what waits is shown."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from mesh.clock import now_ms
from mesh.errors import Unavailable
from notify_service.delivery.ports import DeliveryCare
from notify_service.metrics import OLDEST_SECONDS, WAITING

COUNT_UP_TO: Final = 100_000
"""Counting more would cost more than it tells."""
_EVERY_SECONDS: Final = 15.0


class Upkeep:
    """Harmless when several processes do it."""

    def __init__(self, deliveries: DeliveryCare, clock: Callable[[], int] = now_ms) -> None:
        self._deliveries = deliveries
        self._clock = clock

    async def run(self) -> None:
        """Works until it is cancelled; misses a turn while the store is away."""
        while True:
            with suppress(Unavailable):
                await self()
            await asyncio.sleep(_EVERY_SECONDS)

    async def __call__(self) -> None:
        """One turn."""
        now = self._clock()
        await self._deliveries.forget_contents(now)
        for lane, backlog in (await self._deliveries.backlog(COUNT_UP_TO)).items():
            age_ms = now - backlog.oldest_created_at_ms if backlog.waiting else 0
            WAITING.labels(lane.value).set(backlog.waiting)
            OLDEST_SECONDS.labels(lane.value).set(max(0, age_ms) / 1000)
