"""``PendingChanges`` on Redis."""

from typing import Any

from redis.asyncio import Redis

from chat_service import event_wire
from chat_service.adapters.redis import keys, scripts
from chat_service.domain.events import Change
from mesh.clock import now_ms
from mesh.redis import redis_errors


class RedisPendingChanges:
    """A string per chat, and a sorted set that says which chats may have one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def begin(self, chat_id: str, change: Change) -> None:
        """As the port says: two round trips, since the two keys may be on different nodes."""
        at_ms = now_ms()
        with redis_errors():
            await self._redis.zadd(keys.PENDING_INDEX, {chat_id: at_ms})
            await self._redis.set(keys.pending(chat_id), event_wire.change_entry(chat_id, change, at_ms))

    async def of(self, chat_id: str) -> Change | None:
        """As the port says."""
        with redis_errors():
            encoded: Any = await self._redis.get(keys.pending(chat_id))
        return None if encoded is None else event_wire.change(encoded)

    async def forget(self, chat_id: str) -> None:
        """As the port says."""
        with redis_errors():
            await self._redis.delete(keys.pending(chat_id))

    async def left_behind(self, older_than_ms: int, limit: int) -> list[str]:
        """As the port says."""
        latest_ms = now_ms() - older_than_ms
        with redis_errors():
            marked: Any = await self._redis.zrange(
                keys.PENDING_INDEX, "-inf", latest_ms, byscore=True, offset=0, num=limit, withscores=True
            )
            async with self._redis.pipeline(transaction=False) as pipe:
                for chat_id, _ in marked:
                    pipe.exists(keys.pending(chat_id.decode()))
                pending: list[int] = await pipe.execute()
        settled = [
            scripts.Call(scripts.REMOVE_UNLESS_TOUCHED, (keys.PENDING_INDEX,), (chat_id, int(score)))
            for (chat_id, score), exists in zip(marked, pending, strict=True)
            if not exists
        ]
        if settled:
            await scripts.run(self._redis, settled)
        return [chat_id.decode() for (chat_id, _), exists in zip(marked, pending, strict=True) if exists]
