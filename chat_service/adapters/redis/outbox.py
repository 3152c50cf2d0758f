"""``Outbox`` on Redis."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from typing_extensions import override

from chat_service import event_codec
from chat_service.adapters.redis import keys, scripts
from chat_service.ports.log import LogEntry, Outbox, OutboxSize, OutboxSizes
from mesh.clock import now_ms
from mesh.redis import redis_errors


class RedisOutbox(Outbox, OutboxSizes):
    """``Outbox`` and ``OutboxSizes``: a hash per chat, and a sorted set that says which chats to look at."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cursor = 0  # of the walk through all marks

    @override
    async def mark(self, chat_ids: Sequence[str]) -> None:
        at_ms = now_ms()
        with redis_errors():
            await self._redis.zadd(keys.OUTBOX_INDEX, dict.fromkeys(chat_ids, at_ms))

    @override
    async def clear(self, entries: Sequence[LogEntry]) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.hdel(keys.outbox(entry.chat_id), str(entry.seq))
                await pipe.execute()

    @override
    async def waiting(self, older_than_ms: int, limit: int) -> Mapping[str, tuple[LogEntry, ...]]:
        latest_ms = now_ms() - older_than_ms
        with redis_errors():
            marked: Any = await self._redis.zrange(
                keys.OUTBOX_INDEX, "-inf", latest_ms, byscore=True, offset=0, num=limit, withscores=True
            )
            self._cursor, page = await self._redis.zscan(keys.OUTBOX_INDEX, self._cursor, count=limit)
            resting = {chat_id: int(score) for chat_id, score in marked}
            chats = list(dict.fromkeys((*resting, *(chat_id for chat_id, _ in page))))
            async with self._redis.pipeline(transaction=False) as pipe:
                for chat_id in chats:
                    pipe.hgetall(keys.outbox(chat_id.decode()))
                outboxes: list[dict[bytes, bytes]] = await pipe.execute()
        found: dict[str, tuple[LogEntry, ...]] = {}
        for chat_id, entries in zip(chats, outboxes, strict=True):
            # Younger ones belong to sends that are under way.
            waiting = {
                int(seq): encoded
                for seq, encoded in entries.items()
                if event_codec.entry(encoded).occurred_at_ms <= latest_ms
            }
            if waiting or chat_id in resting:
                in_order = (LogEntry(chat_id.decode(), seq, waiting[seq]) for seq in sorted(waiting))
                found[chat_id.decode()] = tuple(in_order)
        await self._unmark(
            [
                (chat_id, resting[chat_id])
                for chat_id, entries in zip(chats, outboxes, strict=True)
                if chat_id in resting and not entries
            ]
        )
        return found

    @override
    async def size(self, count_up_to: int) -> OutboxSize:
        with redis_errors():
            chats: int = await self._redis.zcard(keys.OUTBOX_INDEX)
            marked: Any = await self._redis.zrange(keys.OUTBOX_INDEX, 0, count_up_to - 1, withscores=True)
            async with self._redis.pipeline(transaction=False) as pipe:
                for chat_id, _ in marked:
                    pipe.hlen(keys.outbox(chat_id.decode()))
                lengths: list[int] = await pipe.execute()
        return OutboxSize(chats, sum(lengths), int(marked[0][1]) if marked else None)

    async def _unmark(self, settled: Sequence[tuple[bytes, int]]) -> None:
        calls = [scripts.Call(scripts.REMOVE_UNLESS_TOUCHED, (keys.OUTBOX_INDEX,), pair) for pair in settled]
        if calls:
            await scripts.run(self._redis, calls)
