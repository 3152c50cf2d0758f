"""The rates of users on a real Redis: refusals are free, and hints have turns."""

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

import chat_service.adapters.redis
from chat_service.adapters.redis import keys
from chat_service.adapters.redis.rate_limiter import Bucket, RedisRateLimiter
from mesh.token_bucket import MOST_WAIT_SECONDS, TokenBucket, hint_ms
from parley.chat.v1 import chat_service_pb2 as pb
from tests.integration.chat_service.scaffold import open_world, send_item
from tests.integration.persist_service.conftest import Servers

# The bucket of the product, with a clock of the test's.
_TAKE_AT = (
    (Path(chat_service.adapters.redis.__file__).parent / "scripts" / "_bucket.lua").read_text()
    + """
local a = {}
for i = 1, #ARGV do a[i] = tonumber(ARGV[i]) end
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'promised')
local kept, granted, wait = take_tokens(state, a[1], a[2], a[3], a[4], a[5], a[6])
redis.call('HSET', KEYS[1], 'tokens', kept[1], 'at', kept[2], 'promised', kept[3])
return {granted, tostring(wait)}
"""
)


class Clocked:
    """A bucket in Redis that is told the time (seconds)."""

    def __init__(self, redis: Redis, key: str, per_second: float, burst: int) -> None:
        self._take = redis.register_script(_TAKE_AT)
        self._key, self._rate, self._burst = key, per_second, burst

    async def take(self, now: float, items: int = 1, price: float = 1.0) -> tuple[int, float]:
        """How many are granted, and the seconds after which the first of the others comes again."""
        arguments = [now * 1_000, self._rate, self._burst, items, price, MOST_WAIT_SECONDS * 1_000]
        granted, wait_ms = cast("Any", await self._take(keys=[self._key], args=arguments))
        return granted, float(wait_ms) / 1_000


@pytest.mark.parametrize("seed", range(5))
async def test_the_bucket_in_redis_is_the_one_in_memory(redis: Redis, seed: int) -> None:
    rnd = random.Random(seed)
    rate, burst = rnd.choice([0.5, 2, 50]), rnd.choice([1, 5, 100])
    there, here = Clocked(redis, "bucket", rate, burst), TokenBucket(rate, burst)
    now = 1_000.0
    for _ in range(150):
        now += rnd.choice([0, 0.001, 0.3, 2]) / rate
        price = rnd.choice([1, 1, 1, 3, burst * 2])
        granted, wait = await there.take(now, price=price)
        expected = here.take(now, price)
        assert granted == (expected == 0)
        assert wait == pytest.approx(expected, abs=1e-3)


async def test_120_at_once_who_obey_are_all_served_in_their_time(redis: Redis) -> None:
    bucket = Clocked(redis, "bucket", 50, 100)
    events = [(1_000.0 + number / 1_000_000, number) for number in range(120)]
    served: Counter[int] = Counter()
    asked, now = 0, 0.0
    while events:
        now, who = heapq.heappop(events)
        asked += 1
        granted, wait = await bucket.take(now)
        if granted:
            served[who] += 1
        else:
            heapq.heappush(events, (now + hint_ms(wait) / 1_000, who))
    assert served == Counter(range(120))
    assert now - 1_000 <= 20 / 50 + 0.02
    assert asked <= 120 + 2 * 20


async def test_a_batch_is_granted_in_part_and_each_of_the_rest_has_its_turn(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, {"send": Bucket(per_second=0.5, burst=5)})
    granted = await limiter.take("send", {"alice": 3, "bob": 9})
    assert (granted["alice"].count, granted["bob"].count) == (3, 5)
    hints = [granted["bob"].retry_after_ms(place) for place in range(4)]
    assert hints == [2_000, 4_000, 6_000, 8_000]
    again = (await limiter.take("send", {"bob": 1}))["bob"]
    assert again.count == 0
    assert 8_000 < again.retry_after_ms() <= 10_000


async def test_a_dear_item_is_granted_whole_or_not_at_all_and_can_be_given_back(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, {"join": Bucket(per_second=0.01, burst=100)})
    assert (await limiter.take("join", {"alice": 1}, price=90))["alice"].count == 1
    assert (await limiter.take("join", {"alice": 1}, price=90))["alice"].count == 0
    await limiter.give_back("join", {"alice": 1_000, "bob": 5})
    assert (await limiter.take("join", {"alice": 1}, price=90))["alice"].count == 1
    assert (await limiter.take("join", {"alice": 1}, price=90))["alice"].count == 0


async def test_a_bucket_is_forgotten_once_it_is_full_again(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, {"send": Bucket(per_second=10, burst=5)})
    await limiter.take("send", {"alice": 3})
    assert 0 < await redis.pttl(keys.rate("alice", "send")) <= 1_300 + 1
    await limiter.take("send", {"alice": 50_000})
    assert await redis.pttl(keys.rate("alice", "send")) <= MOST_WAIT_SECONDS * 1_000 + 1_001


def _items(chat_id: str, numbers: Sequence[int]) -> list[pb.SendItem]:
    return [send_item(chat_id, f"key-{number}") for number in numbers]


async def test_every_message_of_a_burst_gets_through_by_its_hint(servers: Servers) -> None:
    async with open_world(servers, chat_send_rate=50, chat_send_burst=10) as world:
        chat_id = await world.direct()
        tries: Counter[int] = Counter()

        async def send(number: int) -> None:
            while True:
                tries[number] += 1
                answer = await world.chat.SendMessages(
                    pb.SendMessagesRequest(items=_items(chat_id, [number]))
                )
                if answer.results[0].HasField("accepted"):
                    return
                await asyncio.sleep(answer.results[0].error.retry_after_ms / 1_000)

        async with asyncio.timeout(30):
            await asyncio.gather(*(send(number) for number in range(60)))
        assert sum(tries.values()) <= 60 * 3
        batch = await world.chat.SendMessages(pb.SendMessagesRequest(items=_items(chat_id, range(60, 120))))
        hints = [item.error.retry_after_ms for item in batch.results if item.HasField("error")]
        assert hints == sorted(set(hints)), "each refused message has its own turn, in the order sent"
