"""``RecentLog`` on Redis streams."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from chat_service import event_wire
from chat_service.adapters.redis import keys
from chat_service.domain.resume import Entry, Window
from mesh.redis import redis_errors


class RedisRecentLog:
    """The ``RecentLog`` port; reading keeps a log for another ``seconds``."""

    def __init__(self, redis: Redis, *, seconds: int) -> None:
        self._redis = redis
        self._seconds = seconds

    async def read(self, windows: Sequence[Window]) -> list[list[Entry]]:
        """As the port says."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for window in windows:
                    key = keys.log(window.chat_id)
                    pipe.xrange(key, f"{window.after_seq + 1}-0", f"{window.upto_seq}-0")
                    pipe.expire(key, self._seconds)
                answers: list[Any] = await pipe.execute()
        return [[event_wire.entry(fields[b"e"]) for _, fields in rows] for rows in answers[::2]]
