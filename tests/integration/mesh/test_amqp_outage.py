"""A RabbitMQ of its own, stopped and started while it is used."""

import asyncio
import gc
import warnings
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from devstack.ports import free_port
from devstack.servers import RabbitMQServer
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Ack, Delivery, Outcome
from mesh.amqp.depths import QueueDepths
from mesh.amqp.topology import MESSAGE_PERSIST, QUEUES, Topology
from mesh.backoff import Backoff
from mesh.cancellation import end
from tests.integration.mesh.at_once import refused_at_once
from tests.support.polling import eventually


@pytest.mark.timeout(180)
async def test_an_outage_refuses_publishes_at_once_and_loses_nothing() -> None:
    """Stops and restarts the broker under a publisher and a consumer; counts confirmed and delivered."""
    confirmed = [f"before {number}".encode() for number in range(50)]
    missing = {*confirmed, b"after"}
    complete = asyncio.Event()

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        missing.difference_update(delivery.body for delivery in deliveries)
        if not missing:
            complete.set()
        return [Ack()] * len(deliveries)

    server = RabbitMQServer()
    async with Broker(SecretStr(server.url), name="test", topology=Topology(QUEUES)) as broker:
        await _refused_at_once(broker)  # it was never there
        with server:
            consumer = Consumer(broker, MESSAGE_PERSIST, handler)
            task = asyncio.create_task(consumer.run())
            async with asyncio.timeout(60):
                old_session = await broker.session()
            await broker.check()
            await asyncio.gather(*(broker.publish(MESSAGE_PERSIST, body) for body in confirmed))
            depths = asyncio.create_task(QueueDepths(broker, every_seconds=0.05).run())
            await _told_again(depths, 0)

            await asyncio.to_thread(server.stop)
            async with asyncio.timeout(30):
                await old_session.ended.wait()
            await _refused_at_once(broker)
            await _told_again(depths, None)  # nobody knows

            await asyncio.to_thread(server.start)
            async with asyncio.timeout(60):
                await broker.session()
                await broker.publish(MESSAGE_PERSIST, b"after")
                await complete.wait()
                await _told_again(depths, 0)
                await end(depths)
                await consumer.stop()
                await task


async def test_a_broker_that_was_never_there_leaves_no_half_closed_connection_behind() -> None:
    """Such a one tells the collector, in whatever thread that runs, that its closing was never awaited."""
    url = SecretStr(f"amqp://127.0.0.1:{free_port()}/")
    with warnings.catch_warnings(record=True) as told, capture_logs() as logs:
        warnings.simplefilter("always")
        async with (
            Broker(url, name="test", backoff=Backoff(base=0.01, cap=0.02)) as broker,
            asyncio.timeout(30),
        ):
            while not logs:
                await asyncio.sleep(0.01)
            assert not broker.is_up
        await asyncio.to_thread(gc.collect)
    assert [line["event"] for line in logs] == ["amqp.disconnected"]
    assert not told


async def _told_again(depths: asyncio.Task[None], length: float | None) -> None:
    """Returns once this length is told of the queue, by a task that still runs."""

    def told() -> float | None:
        return REGISTRY.get_sample_value("parley_queue_ready_messages", {"queue": MESSAGE_PERSIST})

    await eventually(lambda: depths.done() or told() == length, f"{length} messages ready")
    assert not depths.done(), depths.result()


async def _refused_at_once(broker: Broker) -> None:
    await refused_at_once(lambda: broker.publish(MESSAGE_PERSIST, b"refused"), "rabbitmq")
    await refused_at_once(broker.check, "rabbitmq")
