"""Telling that users went."""

import asyncio

from chat_service.ports.sessions import Presence
from chat_service.ports.store import Store
from chat_service.use_cases.announcer import Announcer
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.logs import get_logger

_DEPARTED_PER_ROUND = 100

_log = get_logger()


class WatchDepartures:
    """Tells that users went, whether they closed their last session or their edge died."""

    def __init__(
        self, presence: Presence, store: Store, announcer: Announcer, *, interval_seconds: float
    ) -> None:
        self._presence = presence
        self._store = store
        self._announcer = announcer
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Watches until cancelled; raises ``Unavailable`` when Redis goes away, to be started again."""
        while True:
            users = await self._presence.departed(_DEPARTED_PER_ROUND)
            for user_id in users:
                await self._announcer.announce(user_id, online=False)
                await self._record(user_id)
            if len(users) < _DEPARTED_PER_ROUND:
                await asyncio.sleep(self._interval_seconds)

    async def _record(self, user_id: str) -> None:
        try:
            await self._store.set_last_seen(user_id, now_ms())
        except Unavailable:
            _log.info("chat.last_seen_not_recorded")
