"""``RateLimiter`` on Redis."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from chat_service.adapters.redis import keys, scripts
from chat_service.ports.rates import Grant, RateLimiter
from mesh.token_bucket import MOST_WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class Bucket:
    """How much of one action a user may do: ``per_second`` lasting, ``burst`` at once."""

    per_second: float
    burst: int


class RedisRateLimiter(RateLimiter):
    """The ``RateLimiter`` port; ``buckets`` names every action there is."""

    def __init__(self, redis: Redis, buckets: Mapping[str, Bucket]) -> None:
        self._redis = redis
        self._buckets = buckets

    @override
    async def take(self, action: str, wanted: Mapping[str, int], *, price: int = 1) -> Mapping[str, Grant]:
        bucket = self._buckets[action]
        answers = await scripts.run(
            self._redis,
            [
                scripts.Call(
                    scripts.TAKE_TOKENS,
                    (keys.rate(user_id, action),),
                    (bucket.per_second, bucket.burst, count, price, int(MOST_WAIT_SECONDS * 1_000)),
                )
                for user_id, count in wanted.items()
            ],
        )
        granted: dict[str, Grant] = {}
        for user_id, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, RedisError):
                raise answer
            granted[user_id] = Grant(answer[0], float(answer[1]) / 1_000, price / bucket.per_second)
        return granted

    @override
    async def give_back(self, action: str, tokens: Mapping[str, int]) -> None:
        burst = self._buckets[action].burst
        calls = [
            scripts.Call(scripts.RETURN_TOKENS, (keys.rate(user_id, action),), (count, burst))
            for user_id, count in tokens.items()
        ]
        await scripts.run(self._redis, calls)
