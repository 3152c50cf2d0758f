"""``NonMembers`` on Redis."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from typing_extensions import override

from chat_service.adapters.redis import keys
from chat_service.ports.members import NonMembers, Pair
from mesh.clock import now_ms
from mesh.redis import redis_errors

KEPT_MS: Final = 10_000
MOST_KEPT: Final = 1_000  # of one user; the oldest go first


class RedisNonMembers(NonMembers):
    """The ``NonMembers`` port: a sorted set per user, from chat to when it was asked about."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    async def known(self, pairs: Sequence[Pair]) -> set[Pair]:
        since = now_ms() - KEPT_MS
        chats = _by_user(pairs)
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id, chat_ids in chats.items():
                    pipe.zmscore(keys.non_members(user_id), chat_ids)
                answers: list[list[float | None]] = await pipe.execute()
        return {
            (chat_id, user_id)
            for (user_id, chat_ids), scores in zip(chats.items(), answers, strict=True)
            for chat_id, at_ms in zip(chat_ids, scores, strict=True)
            if at_ms is not None and at_ms > since
        }

    @override
    async def remember(self, pairs: Iterable[Pair]) -> None:
        at_ms = now_ms()
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for user_id, chat_ids in _by_user(pairs).items():
                    key = keys.non_members(user_id)
                    scores: Any = dict.fromkeys(chat_ids, at_ms)
                    pipe.zadd(key, scores)
                    pipe.zremrangebyrank(key, 0, -MOST_KEPT - 1)
                    pipe.pexpire(key, KEPT_MS)
                await pipe.execute()


def _by_user(pairs: Iterable[Pair]) -> dict[str, list[str]]:
    chats: defaultdict[str, list[str]] = defaultdict(list)
    for chat_id, user_id in pairs:
        chats[user_id].append(chat_id)
    return chats
