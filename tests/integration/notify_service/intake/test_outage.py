"""MongoDB goes away and comes back: what waits, what goes out, and that nothing is lost or sent twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aio_pika
import httpx
import pytest

from devstack.servers import MongoServer
from mesh.amqp.topology import NOTIFICATION_SEND, RETRY_TIERS, dead_queue
from mesh.errors import Unavailable
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import job, new_user, running
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.notify_service.conftest import Service

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def own_mongo() -> Iterator[MongoServer]:
    """A server that a test may stop."""
    with MongoServer() as server:
        yield server


async def ready(admin_port: int) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{admin_port}/readyz")).status_code


async def waiting(amqp_url: str, *queues: str) -> int:
    """Messages in queues that do not belong to an outage."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        states = [(await channel.declare_queue(queue, passive=True)).declaration_result for queue in queues]
        return sum(state.message_count or 0 for state in states)


async def test_jobs_wait_for_mongodb_and_none_is_given_up(amqp_url: str, own_mongo: MongoServer) -> None:
    users = [new_user() for _ in range(20)]
    async with running(amqp_url, own_mongo.url) as service:
        await service.publish(job(users[0]))
        await service.settled(1, user_id=users[0])
        elsewhere = (dead_queue(NOTIFICATION_SEND), *(tier.name for tier in RETRY_TIERS))
        before = await waiting(amqp_url, *elsewhere)

        own_mongo.kill()
        for user in users[1:]:
            await service.publish(job(user))

        async def unready() -> bool | None:
            return True if await ready(service.ports["admin"]) == httpx.codes.SERVICE_UNAVAILABLE else None

        await eventually(unready)
        with pytest.raises(Unavailable, match="mongodb"):
            await service.ledger(user_id=users[0])
        assert await waiting(amqp_url, *elsewhere) == before, "a good job was moved because of the outage"

        own_mongo.start()
        for user in users:
            [entry] = await entries_of(service, user)
            assert entry.outcome == pb.OUTCOME_SENT


async def test_what_waits_to_be_told_outlives_mongodb(amqp_url: str, own_mongo: MongoServer) -> None:
    users = [new_user() for _ in range(10)]
    async with running(amqp_url, own_mongo.url) as service:
        service.persist.down = True  # so that all of it waits in MongoDB
        await service.publish(*(job(user) for user in users))
        async with asyncio.timeout(30):
            while not service.persist.calls["GetAttention"]:
                await asyncio.sleep(0.02)
        own_mongo.kill()
        service.persist.down = False
        own_mongo.start()
        for user in users:
            [entry] = await entries_of(service, user)
            assert entry.outcome == pb.OUTCOME_SENT


async def entries_of(service: Service, user: str) -> list[pb.LedgerEntry]:
    """The entries of a user, as soon as there are any."""

    async def look() -> list[pb.LedgerEntry] | None:
        try:
            return await service.ledger(user_id=user) or None
        except Unavailable:
            return None

    return await eventually(look, seconds=60)
