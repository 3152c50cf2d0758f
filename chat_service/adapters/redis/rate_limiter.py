"""``RateLimiter`` on Redis."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chat_service.adapters.redis import keys, scripts


@dataclass(frozen=True, slots=True)
class Bucket:
    """How much of one action a user may do: ``per_second`` lasting, ``burst`` at once."""

    per_second: float
    burst: int


class RedisRateLimiter:
    """The ``RateLimiter`` port; ``buckets`` names every action there is."""

    def __init__(self, redis: Redis, buckets: Mapping[str, Bucket]) -> None:
        self._redis = redis
        self._buckets = buckets

    async def take(self, action: str, wanted: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        """As the port says."""
        bucket = self._buckets[action]
        answers = await scripts.run(
            self._redis,
            [
                scripts.Call(
                    scripts.TAKE_TOKENS,
                    (keys.rate(user_id, action),),
                    (bucket.per_second, bucket.burst, count),
                )
                for user_id, count in wanted.items()
            ],
        )
        granted: dict[str, tuple[int, int]] = {}
        for user_id, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, RedisError):
                raise answer
            granted[user_id] = (answer[0], answer[1])
        return granted
