"""``EdgeLeases`` on Redis."""

from typing import Any, Final

from redis.asyncio import Redis
from typing_extensions import override

from chat_service.adapters.redis import keys, scripts
from chat_service.domain.model import Session
from chat_service.ports.sessions import EdgeLeases
from mesh.clock import now_ms
from mesh.redis import redis_errors

LEASE_MS: Final = 10_000
"""Three renewals of an edge may fail."""


class RedisEdgeLeases(EdgeLeases):
    """The ``EdgeLeases`` port. Which sessions an edge holds is written by ``RedisPresence``."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    async def keep(self, edge_id: str) -> bool:
        with redis_errors():
            added = await self._redis.zadd(keys.EDGES_INDEX, {edge_id: now_ms() + LEASE_MS})
        return not added

    @override
    async def lapsed(self, limit: int) -> list[str]:
        with redis_errors():
            due: Any = await self._redis.zrange(
                keys.EDGES_INDEX, "-inf", now_ms(), byscore=True, offset=0, num=limit
            )
        return [edge_id.decode() for edge_id in due]

    @override
    async def take(self, edge_id: str) -> bool:
        with redis_errors():
            until = await self._redis.zscore(keys.EDGES_INDEX, edge_id)
        if until is None or until > now_ms():
            return False
        call = scripts.Call(scripts.REMOVE_UNLESS_TOUCHED, (keys.EDGES_INDEX,), (edge_id, int(until)))
        (answer,) = await scripts.run(self._redis, [call])
        return bool(answer == 1)

    @override
    async def end(self, edge_id: str) -> bool:
        with redis_errors():
            return bool(await self._redis.zrem(keys.EDGES_INDEX, edge_id))

    @override
    async def sessions(self, edge_id: str, limit: int) -> list[Session]:
        with redis_errors():
            found: Any
            _, found = await self._redis.hscan(keys.edge_sessions(edge_id), count=limit)
        return [
            Session(user_id.decode(), connection_id.decode(), edge_id=edge_id)
            for connection_id, user_id in found.items()
        ]
