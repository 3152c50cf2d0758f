"""What mesh measures of the event loop, the queues and the stores, against real servers."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from prometheus_client import REGISTRY
from pydantic import SecretStr
from pymongo.errors import OperationFailure

from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Ack, Delivery, Outcome
from mesh.amqp.depths import QueueDepths
from mesh.amqp.topology import RetryTier, Topology, dead_queue
from mesh.cancellation import end
from mesh.errors import unavailable
from mesh.event_loop import watch_lag
from mesh.mongo_timing import MongoTiming
from mesh.redis import open_redis
from tests.support.polling import eventually


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[Broker]:
    unique = uuid4().hex[:8]
    topology = Topology((f"measured-{unique}",), (RetryTier(f"later-{unique}", 60_000),))
    async with Broker(SecretStr(amqp_url), name="test", topology=topology) as broker:
        await broker.session()
        yield broker


async def test_a_blocked_event_loop_is_seen() -> None:
    name = "parley_event_loop_lag_seconds_sum"
    before = value(name) or 0.0
    task = asyncio.create_task(watch_lag())
    try:
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - blocking the loop is the point
        await eventually(lambda: (value(name) or 0.0) > before)
        assert (value(name) or 0.0) - before > 0.2
    finally:
        task.cancel()


async def test_queue_lengths_are_told_across_connections_and_not_for_longer(broker: Broker) -> None:
    (queue,) = broker.topology.queues
    for _ in range(3):
        await broker.publish(queue, b"x")
    await broker.publish(dead_queue(queue), b"x")
    depths = asyncio.create_task(QueueDepths(broker, every_seconds=0.05).run())
    try:
        await eventually(lambda: value("parley_queue_ready_messages", queue=queue) == 3)
        assert value("parley_queue_consumers", queue=queue) == 0
        await eventually(lambda: value("parley_queue_ready_messages", queue=dead_queue(queue)) == 1)
        tier = broker.topology.retry_tiers[0].name
        await eventually(lambda: value("parley_queue_ready_messages", queue=tier) == 0)
        # Told again after the connection was lost.
        first = await broker.session()
        await first.connection.close()
        await first.ended.wait()
        await broker.session()
        await broker.publish(queue, b"x")
        await eventually(lambda: value("parley_queue_ready_messages", queue=queue) == 4)
    finally:
        await end(depths)
    assert value("parley_queue_ready_messages", queue=queue) is None


async def test_the_age_of_what_waits_in_a_consumers_hands_grows(broker: Broker) -> None:
    (queue,) = broker.topology.queues
    down = True

    async def handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if down:
            raise unavailable("mongodb")
        return [Ack()] * len(deliveries)

    await broker.publish(queue, b"x")
    consumer = Consumer(broker, queue, handle)
    task = asyncio.create_task(consumer.run())
    depths = asyncio.create_task(QueueDepths(broker, every_seconds=0.05).run())
    try:
        await eventually(lambda: (value("parley_queue_oldest_seconds", queue=queue) or 0) > 1)
        # It is in somebody's hands: it waits no more.
        await eventually(lambda: value("parley_queue_consumers", queue=queue) == 1)
        await eventually(lambda: value("parley_queue_ready_messages", queue=queue) == 0)
        down = False
        await eventually(lambda: value("parley_queue_oldest_seconds", queue=queue) == 0)
    finally:
        await end(depths)
        await consumer.stop()
        await task


async def test_redis_is_timed_by_command_and_a_pipeline_as_one(redis_url: str) -> None:
    def count(command: str) -> float:
        return value("parley_redis_seconds_count", command=command) or 0.0

    before = {command: count(command) for command in ("GET", "pipeline")}
    async with open_redis(SecretStr(redis_url)) as redis:
        await redis.get("nothing")
        async with redis.pipeline(transaction=False) as pipe:
            pipe.get("a")
            pipe.get("b")
            await pipe.execute()
    assert {command: count(command) - before[command] for command in before} == {"GET": 1, "pipeline": 1}


async def test_mongodb_is_timed_by_command_and_result(mongo_url: str, mongo_database: str) -> None:
    def count(command: str, result: str) -> float:
        return value("parley_mongo_seconds_count", command=command, result=result) or 0.0

    found, refused = count("find", "ok"), count("collMod", "failed")
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(
        mongo_url, event_listeners=[MongoTiming()]
    )
    try:
        await client[mongo_database]["x"].find_one({})
        with pytest.raises(OperationFailure):
            await client[mongo_database].command({"collMod": "missing", "index": {"name": "missing"}})
    finally:
        client.close()
    assert count("find", "ok") == found + 1
    assert count("collMod", "failed") == refused + 1
