"""The contract of one Redis, kept by a real cluster: with slots that move and nodes that die."""

import asyncio
from collections import Counter

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, ResponseError

from devstack.servers import RedisCluster
from mesh.errors import Unavailable
from mesh.redis import open_redis, ping, redis_errors
from mesh.redis_cluster.slots import slot_of

_KEYS = [f"{{{number}}}:log" for number in range(30)]
# Three keys, one of which does not exist: what a node whose slot is moving refuses with TRYAGAIN.
_APPEND = """
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('INCR', KEYS[2])
redis.call('SPUBLISH', KEYS[3], ARGV[1])
return redis.call('LLEN', KEYS[1])
"""


async def _append(redis: Redis, key: str, items: list[str]) -> list[int]:
    with redis_errors():
        async with redis.pipeline(transaction=False) as pipe:
            for item in items:
                pipe.eval(_APPEND, 3, key, f"{key}:count", f"{key}:nothing", item)
            return list(await pipe.execute())


async def test_a_pipeline_is_answered_in_order_whatever_node_each_command_is_for(redis_cluster: str) -> None:
    async with open_redis(SecretStr(redis_cluster)) as redis:
        await ping(redis)
        async with redis.pipeline(transaction=False) as pipe:
            for number, key in enumerate(_KEYS):
                pipe.set(key, number)
                pipe.hset(f"{key}:hash", "field", number)
                pipe.get(key)
            answers = await pipe.execute()
    assert answers == [answer for number in range(30) for answer in (True, 1, str(number).encode())]


async def test_an_error_stands_in_its_place_or_is_raised_as_by_one_redis(redis_cluster: str) -> None:
    async with open_redis(SecretStr(redis_cluster)) as redis:
        await redis.set(_KEYS[3], "text")
        async with redis.pipeline(transaction=False) as pipe:
            for key in _KEYS:
                pipe.hget(key, "field")
            answers = await pipe.execute(raise_on_error=False)
            assert [isinstance(answer, ResponseError) for answer in answers] == [
                key == _KEYS[3] for key in _KEYS
            ]
            for key in _KEYS:
                pipe.hget(key, "field")
            with pytest.raises(ResponseError, match=r"Command # 4 .* of pipeline caused error: .*WRONGTYPE"):
                await pipe.execute()


async def test_locks_and_registered_scripts_find_their_node(redis_cluster: str) -> None:
    async with open_redis(SecretStr(redis_cluster)) as redis:
        script = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        for key in _KEYS:
            lock, rival = (redis.lock(f"{key}:lock", timeout=10, blocking=False) for _ in range(2))
            assert await lock.acquire()
            assert not await rival.acquire()
            await lock.release()
            assert await script(keys=[key], args=[2]) == 2


async def test_what_has_no_key_is_refused_with_words(redis_cluster: str) -> None:
    async with open_redis(SecretStr(redis_cluster)) as redis:
        with pytest.raises(RedisClusterException, match="TIME has no key"):
            await redis.time()
        with pytest.raises(RedisClusterException, match="no transaction"):
            redis.pipeline()


async def test_slots_that_move_under_load_lose_nothing_and_do_nothing_twice(
    redis_nodes: RedisCluster, redis_cluster: str
) -> None:
    key = "{wanderer}:log"
    done = asyncio.Event()
    written: list[str] = []
    refused = Counter[str]()

    async def write(redis: Redis) -> None:
        number = 0
        while not done.is_set():
            items = [f"{number + step}" for step in range(8)]
            try:
                await _append(redis, key, items)
            except Unavailable:  # none of them was done, and it may be tried again
                refused["pipeline"] += 1
                continue
            written.extend(items)
            number += 8

    async with open_redis(SecretStr(redis_cluster)) as redis:
        await _append(redis, key, ["first"])
        writing = asyncio.create_task(write(redis))
        for _ in range(2):
            for node in redis_nodes.primaries:
                if redis_nodes.owner(slot_of(key)) is not node:
                    await asyncio.to_thread(redis_nodes.move_slot, slot_of(key), node)
                before = len(written)
                while len(written) < before + 16:
                    await asyncio.sleep(0.001)
        done.set()
        await writing
        with redis_errors():
            found = await redis.lrange(key, 0, -1)
            count = await redis.get(f"{key}:count")
    assert found == [item.encode() for item in ("first", *written)]
    assert count == b"%d" % len(found)
    assert not refused


async def test_a_slot_in_the_middle_of_its_move_is_served_where_its_keys_are(
    redis_nodes: RedisCluster, redis_cluster: str
) -> None:
    key = "{half-way}:a"
    slot = slot_of(key)
    source = redis_nodes.owner(slot)
    target = next(node for node in redis_nodes.primaries if node is not source)
    async with open_redis(SecretStr(redis_cluster)) as redis:
        await redis.set(key, "stays")
        await redis.set("{half-way}:b", "goes")
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 1_000, "KEYS", "{half-way}:b")
        async with redis.pipeline(transaction=False) as pipe:
            pipe.get(key)
            pipe.get("{half-way}:b")
            pipe.set("{half-way}:c", "new")
            pipe.get("{half-way}:c")
            assert await pipe.execute() == [b"stays", b"goes", True, b"new"]
        # A script with keys here and there can run nowhere: it is refused, retryably, and did nothing.
        with pytest.raises(Unavailable):
            await _append(redis, "{half-way}:d", ["item"])
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 1_000, "KEYS", key)
        target.ask("CLUSTER SETSLOT", slot, "NODE", target.id)
        source.ask("CLUSTER SETSLOT", slot, "NODE", target.id)
        assert await _append(redis, "{half-way}:d", ["item"]) == [1]


async def test_a_primary_that_dies_is_an_outage_of_its_slots_until_its_replica_has_them() -> None:
    with RedisCluster(replicas=1) as cluster:
        async with open_redis(SecretStr(cluster.url), timeout_seconds=0.5) as redis:
            for key in _KEYS:
                await redis.set(key, "before")
            victim = cluster.owner(slot_of(_KEYS[0]))
            gone = [key for key in _KEYS if cluster.owner(slot_of(key)) is victim]
            others = [key for key in _KEYS if key not in gone]
            victim.kill()
            with pytest.raises(Unavailable), redis_errors():
                await redis.get(gone[0])
            # Of a cluster of which a part is missing the rest goes on.
            with redis_errors():
                for key in others:
                    assert await redis.get(key) == b"before"
            await ping(redis)
            async with asyncio.timeout(30):
                while True:
                    try:
                        with redis_errors():
                            assert {await redis.get(key) for key in gone} == {b"before"}
                        break
                    except Unavailable:
                        await asyncio.sleep(0.02)
            victim.start()  # as a replica; what it is asked by those who do not know that is sent on
            for key in gone:
                await redis.set(key, "after")
