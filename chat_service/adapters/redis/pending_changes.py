"""``PendingChanges`` on Redis."""

from typing import Any, cast

from redis.asyncio import Redis
from typing_extensions import override

from chat_service.adapters.redis import keys, scripts
from chat_service.ports.members import Pending, PendingChanges
from mesh.clock import now_ms
from mesh.redis import redis_errors
from parley.events.v1.chat_event_pb2 import ChatEvent


class RedisPendingChanges(PendingChanges):
    """A hash per chat, and a sorted set that says which chats may have one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    async def begin(self, change: ChatEvent) -> None:
        """Two round trips, since the two keys may be on different nodes."""
        with redis_errors():
            await self._redis.zadd(keys.PENDING_INDEX, {change.chat_id: now_ms()})
            note = {"entry": change.SerializeToString(), "logged": 0}
            await self._redis.hset(keys.pending(change.chat_id), mapping=cast("Any", note))

    @override
    async def of(self, chat_id: str) -> Pending | None:
        with redis_errors():
            entry, logged = cast("Any", await self._redis.hmget(keys.pending(chat_id), "entry", "logged"))
        return None if entry is None else Pending(ChatEvent.FromString(entry), logged == b"1")

    @override
    async def forget(self, chat_id: str) -> None:
        with redis_errors():
            await self._redis.delete(keys.pending(chat_id))

    @override
    async def left_behind(self, older_than_ms: int, limit: int) -> list[str]:
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
