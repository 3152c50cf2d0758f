"""Ending the sessions of edges that died."""

import asyncio
import time

from chat_service.ports.sessions import EdgeLeases, Presence
from mesh.logs import get_logger

_SESSIONS_PER_ROUND = 500
_EDGES_PER_ROUND = 100

_log = get_logger()


class WatchEdges:
    """Ends the sessions of an edge some seconds after its lease lapsed.

    Not at once: edges could not keep their leases while no chat_service ran, or this process stood still. So
    one process must see it over for ``patience_seconds``, within which an edge that lives keeps it again.
    """

    def __init__(
        self, leases: EdgeLeases, presence: Presence, *, interval_seconds: float, patience_seconds: float
    ) -> None:
        self._leases = leases
        self._presence = presence
        self._interval_seconds = interval_seconds
        self._patience_seconds = patience_seconds
        self._over_since: dict[str, float] = {}
        self._looked_at = 0.0

    async def run(self) -> None:
        """Watches until cancelled; raises ``Unavailable`` when Redis goes away, to be started again."""
        while True:
            for edge_id in await self._due():
                if await self._leases.take(edge_id):
                    await self._end_sessions(edge_id)
            await asyncio.sleep(self._interval_seconds)

    async def _due(self) -> list[str]:
        now = time.monotonic()
        if now - self._looked_at > self._patience_seconds:
            self._over_since.clear()  # it was this process that stood still
        self._looked_at = now
        over = await self._leases.lapsed(_EDGES_PER_ROUND)
        self._over_since = {edge_id: self._over_since.get(edge_id, now) for edge_id in over}
        return [
            edge_id for edge_id, since in self._over_since.items() if now - since >= self._patience_seconds
        ]

    async def _end_sessions(self, edge_id: str) -> None:
        ended = 0
        while sessions := await self._leases.sessions(edge_id, _SESSIONS_PER_ROUND):
            for session in sessions:
                await self._presence.close(session)
            ended += len(sessions)
            if await self._leases.end(edge_id):
                break  # it is back: what was ended since then comes to life again with all that it renews
        if ended:
            _log.warning("chat.edge_gone", edge_id=edge_id, sessions=ended)
