"""Several hosts in one URL: nodes of a RabbitMQ cluster go and come, publishers and consumers find another.

Proxies to one RabbitMQ stand for the nodes: what a client sees of a node that goes is the same, and that
quorum queues keep what they confirmed when one of three nodes is lost is RabbitMQ's own promise.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from chaos.proxy import Proxy
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Ack, Delivery, Outcome
from mesh.amqp.hosts import node_urls
from mesh.amqp.topology import Topology
from mesh.amqp.visit import visiting
from mesh.backoff import Backoff
from mesh.errors import Unavailable
from mesh.ids import new_object_id

_NODES = 3
_ROUNDS = 4


@pytest.fixture
async def nodes(amqp_url: str) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        port = urlsplit(amqp_url).port
        assert port is not None
        yield [await stack.enter_async_context(Proxy(port)) for _ in range(_NODES)]


def _url(nodes: Sequence[Proxy]) -> SecretStr:
    return SecretStr("amqp://guest:guest@" + ",".join(f"127.0.0.1:{node.port}" for node in nodes) + "/")


async def test_publishers_and_consumers_go_on_at_the_next_node(nodes: list[Proxy]) -> None:
    """Loses the node in use, four times over; counts confirmed and delivered."""
    queue = f"test-{new_object_id()}"
    confirmed: set[bytes] = set()
    delivered: Counter[bytes] = Counter()

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        delivered.update(delivery.body for delivery in deliveries)
        return [Ack()] * len(deliveries)

    patient = Backoff(base=30, cap=30)  # a wait between two nodes would show
    async with Broker(_url(nodes), name="test", topology=Topology((queue,)), backoff=patient) as broker:
        consumer = Consumer(broker, queue, handler)
        task = asyncio.create_task(consumer.run())
        for number in range(_ROUNDS):
            async with asyncio.timeout(30):
                await broker.session()
                for step in range(20):
                    body = f"{number}-{step}".encode()
                    await broker.publish(queue, body)
                    confirmed.add(body)
            used = [node for node in nodes if node.connections]
            assert len(used) == 1
            used[0].refuse()
            async with asyncio.timeout(30):
                while broker.is_up:
                    await asyncio.sleep(0.01)
                await broker.session()
            await used[0].restore()
        async with asyncio.timeout(30):
            while not confirmed <= delivered.keys():
                await asyncio.sleep(0.01)
        await consumer.stop()
        await task
    assert delivered.keys() == confirmed
    assert delivered.total() <= len(confirmed) + _ROUNDS * 20  # what was not acked yet comes again, no more
    async with visiting(_url(nodes)) as connection:
        channel = await connection.channel()
        await channel.queue_delete(queue)


async def test_without_any_node_it_waits_after_all_were_tried_and_tells_each_problem_once(
    nodes: list[Proxy],
) -> None:
    for node in nodes:
        node.refuse()
    with capture_logs() as logs:
        async with Broker(_url(nodes), name="test", backoff=Backoff(base=0.01, cap=0.02)) as broker:
            await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await broker.publish("nowhere", b"")
            async with asyncio.timeout(30):
                while len(_told(logs)) < _NODES:
                    await asyncio.sleep(0.01)
            for node in nodes:
                await node.restore()
            async with asyncio.timeout(30):
                await broker.session()
            told = _told(logs)
    assert len(told) == len(set(told)) == _NODES


def _told(logs: Sequence[Mapping[str, Any]]) -> list[object]:
    return [line["error"] for line in logs if line["event"] == "amqp.disconnected"]


def test_the_nodes_share_all_but_their_address() -> None:
    urls = node_urls(SecretStr("amqps://user:p%40ss@a,b:5673,[::1]/vhost?x=1"))
    assert [str(url) for url in urls] == [
        "amqps://user:p%40ss@a:5671/vhost?x=1",
        "amqps://user:p%40ss@b:5673/vhost?x=1",
        "amqps://user:p%40ss@[::1]:5671/vhost?x=1",
    ]
