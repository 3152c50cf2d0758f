"""``Outbox`` on Redis."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from chat_service.adapters.redis import keys, scripts
from chat_service.ports import LogEntry
from mesh.clock import now_ms
from mesh.redis import redis_errors


class RedisOutbox:
    """The ``Outbox`` port: a hash per chat, and one sorted set that says which chats to look at."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def mark(self, chat_ids: Sequence[str]) -> None:
        """As the port says."""
        at_ms = now_ms()
        with redis_errors():
            await self._redis.zadd(keys.OUTBOX_INDEX, dict.fromkeys(chat_ids, at_ms))

    async def clear(self, entries: Sequence[LogEntry]) -> None:
        """As the port says."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.hdel(keys.outbox(entry.chat_id), str(entry.seq))
                await pipe.execute()

    async def waiting(self, older_than_ms: int, limit: int) -> Mapping[str, tuple[LogEntry, ...]]:
        """As the port says."""
        with redis_errors():
            marked: Any = await self._redis.zrange(
                keys.OUTBOX_INDEX,
                "-inf",
                now_ms() - older_than_ms,
                byscore=True,
                offset=0,
                num=limit,
                withscores=True,
            )
            chats = [(chat_id.decode(), int(score)) for chat_id, score in marked]
            async with self._redis.pipeline(transaction=False) as pipe:
                for chat_id, _ in chats:
                    pipe.hgetall(keys.outbox(chat_id))
                outboxes: list[dict[bytes, bytes]] = await pipe.execute()
        found: dict[str, tuple[LogEntry, ...]] = {}
        settled: list[scripts.Call] = []
        for (chat_id, score), entries in zip(chats, outboxes, strict=True):
            if not entries:
                settled.append(
                    scripts.Call(scripts.REMOVE_UNLESS_TOUCHED, (keys.OUTBOX_INDEX,), (chat_id, score))
                )
            in_order = sorted((int(seq), encoded) for seq, encoded in entries.items())
            found[chat_id] = tuple(LogEntry(chat_id, seq, encoded) for seq, encoded in in_order)
        if settled:
            await scripts.run(self._redis, settled)
        return found
