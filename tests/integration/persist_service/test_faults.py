"""The service dies, or a server that it needs does. What was published is stored in the end."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from devstack.servers import MongoServer, RedisServer
from mesh.amqp.topology import MESSAGE_PERSIST, RETRY_TIERS, dead_queue
from mesh.errors import Unavailable
from mesh.settings import variable_name
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log, Servers, Service, batches, running, serving
from tests.support.polling import eventually

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    import aio_pika

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def process(servers: Servers) -> AsyncIterator[Process]:
    """`python -m persist_service`, killed at the end if it still runs."""
    environment = {variable_name(name): str(value) for name, value in servers.environment().items()}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "persist_service",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", **environment},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def gone_elsewhere(service: Service) -> int:
    """How many messages were moved to a retry or dead-letter queue."""
    session = await service.broker.session()
    async with await session.connection.channel() as channel:
        total = 0
        for queue in (dead_queue(MESSAGE_PERSIST), *(tier.name for tier in RETRY_TIERS)):
            state: aio_pika.abc.AbstractQueue = await channel.declare_queue(queue, passive=True)
            total += state.declaration_result.message_count or 0
        return total


async def not_ready(service: Service) -> dict[str, str]:
    """What the service says is wrong, once it says so."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def report() -> dict[str, str] | None:
            answer = await client.get(f"http://127.0.0.1:{service.admin_port}/readyz")
            found: dict[str, str] = answer.json()["dependencies"]
            return found if answer.status_code == 503 else None

        return await eventually(report)


async def test_killed_in_the_stream_it_loses_nothing(service: Service, servers: Servers) -> None:
    log = Log((await service.group("alice", "bob")).id)
    events = log.messages(3_000)
    count = service.db.messages.count_documents
    # The service of the fixture shares the queue: a message may be in either's hands when one is killed.
    publishing = asyncio.create_task(service.broker.publish_many(list(batches(events, 5))))
    for _ in range(3):
        async with process(servers) as victim:
            session = await service.broker.session()
            async with await session.connection.channel() as channel:

                async def consuming(channel: aio_pika.abc.AbstractChannel = channel) -> bool | None:
                    state = await channel.declare_queue(MESSAGE_PERSIST, passive=True)
                    return True if (state.declaration_result.consumer_count or 0) >= 2 else None

                await eventually(consuming)
            before = count({})
            more = log.messages(300)
            await service.broker.publish_many(list(batches(more, 3)))
            events += more
            await eventually(lambda before=before: count({}) > before)  # type: ignore[misc]  # the default is an int
            victim.kill()
            await victim.wait()
    await publishing
    await eventually(lambda: count({}) == len(events), seconds=60)
    assert sorted(service.db.messages.distinct("seq")) == list(range(1, len(events) + 1))
    head = await service.stored(log.chat_id, len(events))
    assert head.number == len(events)
    assert await gone_elsewhere(service) == 0


async def test_mongodb_goes_and_comes_back(servers: Servers) -> None:
    with MongoServer() as mongo:
        own = Servers(servers.amqp_url, mongo.url, servers.redis_url, servers.database)
        async with running(own) as service:
            await serving(service)
            log = Log((await service.direct("alice", "bob")).id)
            await service.publish(*log.messages(3))
            await service.stored(log.chat_id, 3)
            # The stand-in does not always start again when it is killed while it makes a collection.
            await eventually(lambda: service.db.terms.count_documents({}) == 3)

            mongo.kill()
            events = log.messages(200)
            await service.broker.publish_many(list(batches(events, 7)))
            assert "mongodb" in {name for name, state in (await not_ready(service)).items() if state != "up"}
            with pytest.raises(Unavailable) as refused:
                await service.stub.GetChat(pb.GetChatRequest(chat_id=log.chat_id))
            assert refused.value.dependency == "mongodb"

            mongo.start()
            await serving(service)
            await service.stored(log.chat_id, log.seq)
            assert [m.seq for m in await service.history(log.chat_id)] == list(range(203, 102, -1))
            assert service.db.messages.count_documents({}) == 203
            assert await gone_elsewhere(service) == 0


async def test_started_without_mongodb_it_waits_and_then_makes_its_indexes(servers: Servers) -> None:
    with MongoServer() as mongo:
        own = Servers(servers.amqp_url, mongo.url, servers.redis_url, servers.database)
        mongo.stop()
        async with running(own) as service:
            assert "mongodb" in {name for name, state in (await not_ready(service)).items() if state != "up"}
            with pytest.raises(Unavailable):
                await service.direct("alice", "bob")
            mongo.start()
            await serving(service)
            keys = {tuple(index["key"]) for index in service.db.messages.list_indexes()}
            assert {
                ("chatId", "seq"),
                ("chatId", "senderId", "clientMsgId"),
                ("senderId",),
                ("createdAt",),
            } <= keys
            assert (await service.direct("alice", "bob")).member_count == 2


async def test_without_redis_only_the_cache_is_off(servers: Servers) -> None:
    with RedisServer() as redis:
        own = Servers(servers.amqp_url, servers.mongo_url, redis.url, servers.database)
        async with running(own) as service:
            await serving(service)
            log = Log((await service.direct("alice", "bob")).id)
            assert set(await service.chats("bob")) == {log.chat_id}
            redis.kill()
            await service.publish(log.message())
            await service.stored(log.chat_id, 1)
            assert (await service.chats("bob"))[log.chat_id].last_number == 1
            # Who is online is not known: better one notification too many than one too few.
            [news], _ = await service.notifications(recipients=1, reads=1)
            assert [(one.user_id, one.last_active_ms) for one in news.recipients] == [("bob", 0)]
