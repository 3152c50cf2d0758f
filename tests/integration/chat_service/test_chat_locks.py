"""Whoever waits for a chat gets it in the order of coming, on a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.chat_locks import RedisChatLocks
from mesh.errors import ResourceExhausted
from tests.support.polling import eventually

CHAT = "c" * 24


async def waiting(redis: Redis, count: int) -> None:
    """Returns once so many wait."""

    async def enough() -> bool | None:
        return await redis.zcard(keys.membership_queue(CHAT)) == count or None

    await eventually(enough)


async def test_those_who_wait_have_their_turns_in_order(redis: Redis) -> None:
    locks = RedisChatLocks(redis)
    turns: list[int] = []

    async def take(number: int) -> None:
        async with locks.hold(CHAT):
            turns.append(number)

    async with locks.hold(CHAT):
        tasks = []
        for number in range(12):
            tasks.append(asyncio.create_task(take(number)))
            await waiting(redis, number + 1)
    await asyncio.gather(*tasks)
    assert turns == list(range(12))
    assert await redis.exists(keys.membership_lock(CHAT), keys.membership_queue(CHAT)) == 0


async def test_one_who_stops_waiting_leaves_the_queue(redis: Redis) -> None:
    locks = RedisChatLocks(redis)

    async def take() -> None:
        async with locks.hold(CHAT):
            pass

    async with locks.hold(CHAT):
        waiter = asyncio.create_task(take())
        await waiting(redis, 1)
        waiter.cancel()
        await asyncio.wait((waiter,))
        assert await redis.zcard(keys.membership_queue(CHAT)) == 0


async def test_who_died_while_waiting_holds_up_nobody_for_ever(redis: Redis) -> None:
    await redis.zadd(keys.membership_queue(CHAT), {"of a dead process": 1})
    async with RedisChatLocks(redis).hold(CHAT):
        assert await redis.zcard(keys.membership_queue(CHAT)) == 0


async def test_a_queue_too_long_to_wait_in_refuses_at_once(redis: Redis) -> None:
    far = 2**52
    await redis.zadd(keys.membership_queue(CHAT), {f"waiter {number}": far for number in range(64)})
    with pytest.raises(ResourceExhausted) as refused:
        async with RedisChatLocks(redis).hold(CHAT):
            pass
    assert (refused.value.code, refused.value.retry_after_ms > 0) == ("OVERLOADED", True)
    assert await redis.zcard(keys.membership_queue(CHAT)) == 64


async def test_a_lock_that_was_lost_is_not_taken_from_its_next_holder(redis: Redis) -> None:
    async with RedisChatLocks(redis).hold(CHAT):
        await redis.set(keys.membership_lock(CHAT), "the next")
    assert await redis.get(keys.membership_lock(CHAT)) == b"the next"
