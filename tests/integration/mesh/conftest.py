"""A broker with queues of the test's own, and what it takes to watch a consumer of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Handler
from mesh.amqp.topology import RetryTier, Topology
from mesh.cancellation import end


@pytest.fixture
def topology() -> Topology:
    """Queues of this test's own, with retries that come back soon."""
    unique = uuid4().hex[:8]
    tiers = (RetryTier(f"retry-a-{unique}", 50), RetryTier(f"retry-b-{unique}", 100))
    return Topology((f"work-{unique}",), tiers, delivery_limit=3)


@pytest.fixture
async def broker(amqp_url: str, topology: Topology) -> AsyncIterator[Broker]:
    async with Broker(SecretStr(amqp_url), name="test", topology=topology) as broker:
        await broker.session()
        yield broker


@asynccontextmanager
async def consuming(broker: Broker, handler: Handler, **options: float) -> AsyncIterator[Consumer]:
    consumer = Consumer(broker, broker.topology.queues[0], handler, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        await end(task)


async def next_of(broker: Broker, queue: str, seconds: float = 30) -> AbstractIncomingMessage:
    session = await broker.session()
    async with await session.connection.channel() as channel, asyncio.timeout(seconds):
        source = await channel.get_queue(queue, ensure=False)
        while True:
            message = await source.get(fail=False, no_ack=True)
            if message is not None:
                return message
            await asyncio.sleep(0.02)


async def is_empty(amqp_url: str, queue: str) -> bool:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count == 0
