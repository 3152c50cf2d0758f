"""Sessions, presence and rates on a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.presence import RedisPresence
from chat_service.adapters.redis.rate_limiter import Bucket, RedisRateLimiter
from chat_service.domain.model import Session
from mesh.errors import ResourceExhausted


def presence(redis: Redis, *, grace_ms: int = 0) -> RedisPresence:
    return RedisPresence(redis, sessions_per_user=3, grace_ms=grace_ms)


async def departed(who: RedisPresence) -> list[str]:
    async with asyncio.timeout(5):
        while not (users := await who.departed(10)):
            await asyncio.sleep(0.01)
    return users


async def test_a_user_is_there_from_the_first_session_to_the_last(redis: Redis) -> None:
    who = presence(redis)
    phone, laptop = Session("alice", "phone"), Session("alice", "laptop")
    assert await who.open(phone)
    assert not await who.open(laptop)
    await who.close(phone)
    assert await who.online(["alice", "bob"]) == ["alice"]
    assert await who.departed(10) == []
    await who.close(laptop)
    assert await who.online(["alice"]) == []
    assert await departed(who) == ["alice"]
    assert await who.departed(10) == []
    assert await who.open(phone)


async def test_who_comes_back_within_the_grace_time_was_never_gone(redis: Redis) -> None:
    who = presence(redis, grace_ms=60_000)
    await who.open(Session("alice", "page"))
    await who.close(Session("alice", "page"))
    assert not await who.open(Session("alice", "page-again"))
    assert await who.departed(10) == []


async def test_sessions_of_a_dead_edge_end_by_themselves(redis: Redis) -> None:
    who = presence(redis)
    await who.open(Session("alice", "lost"))
    # What five minutes without a renewal leave behind.
    await redis.zadd(keys.sessions("alice"), {"lost": 1})
    await redis.zadd(keys.PRESENCE_INDEX, {"alice": 1})
    assert await departed(who) == ["alice"]


async def test_a_renewal_keeps_a_session_and_revives_a_forgotten_one(redis: Redis) -> None:
    who = presence(redis)
    session = Session("alice", "page")
    await who.open(session)
    assert await who.renew([session]) == []
    await redis.flushall()
    assert await who.renew([session, Session("alice", "other")]) == ["alice"]
    assert await who.online(["alice"]) == ["alice"]


async def test_only_one_of_many_lookers_is_told(redis: Redis) -> None:
    who = presence(redis)
    await who.open(Session("alice", "page"))
    await who.close(Session("alice", "page"))
    told = await asyncio.gather(*(who.departed(10) for _ in range(5)))
    assert [user for users in told for user in users] == ["alice"]


async def test_sessions_are_limited_per_user_and_a_repeat_is_none_more(redis: Redis) -> None:
    who = presence(redis)
    for number in range(3):
        await who.open(Session("alice", str(number)))
    await who.open(Session("alice", "1"))
    with pytest.raises(ResourceExhausted) as refused:
        await who.open(Session("alice", "3"))
    assert refused.value.code == "TOO_MANY_CONNECTIONS"
    await who.open(Session("bob", "3"))


async def test_a_bucket_grants_its_burst_and_then_says_when(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, {"send": Bucket(per_second=0.5, burst=5)})
    granted = await limiter.take("send", {"alice": 3, "bob": 9})
    assert (granted["alice"][0], granted["bob"][0]) == (3, 5)
    count, retry_after_ms = (await limiter.take("send", {"bob": 1}))["bob"]
    assert count == 0
    assert 1_000 < retry_after_ms <= 2_000


async def test_a_bucket_fills_again(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, {"send": Bucket(per_second=200, burst=1)})
    assert (await limiter.take("send", {"alice": 1}))["alice"][0] == 1
    async with asyncio.timeout(5):
        while (await limiter.take("send", {"alice": 1}))["alice"][0] == 0:
            await asyncio.sleep(0.002)
