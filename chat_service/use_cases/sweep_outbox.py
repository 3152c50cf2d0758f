"""Handing over what a send left in the outbox: its broker was down, or its process died in between."""

import asyncio

from chat_service.metrics import OUTBOX_SWEPT
from chat_service.ports.broker import Broker
from chat_service.ports.log import Outbox
from mesh.logs import get_logger

_CHATS_PER_ROUND = 100

_log = get_logger()


class SweepOutbox:
    """What was delivered will be persisted: the promise behind an accepted message that was never acked."""

    def __init__(self, outbox: Outbox, broker: Broker, *, interval_seconds: float, age_ms: int) -> None:
        self._outbox = outbox
        self._broker = broker
        self._interval_seconds = interval_seconds
        # Younger entries belong to sends that are still under way.
        self._age_ms = age_ms

    async def run(self) -> None:
        """Sweeps until cancelled; raises ``Unavailable`` when Redis or RabbitMQ goes away."""
        while True:
            chats = await self.sweep() if self._broker.is_up else 0
            if chats < _CHATS_PER_ROUND:
                await asyncio.sleep(self._interval_seconds)

    async def sweep(self) -> int:
        """One round; how many chats had something, or were marked and rest."""
        waiting = await self._outbox.waiting(self._age_ms, _CHATS_PER_ROUND)
        entries = [entry for chat_entries in waiting.values() for entry in chat_entries]
        if entries:
            await self._broker.persist(entries)
            await self._outbox.clear(entries)
            OUTBOX_SWEPT.inc(len(entries))
            _log.warning("chat.outbox_swept", entries=len(entries))
        return len(waiting)
