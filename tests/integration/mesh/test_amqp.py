import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, Retry
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import RetryTier, Topology, dead_queue
from mesh.errors import Unavailable, unavailable
from mesh.metrics import AMQP_PUBLISHED
from tests.integration.mesh.conftest import consuming, is_empty, next_of
from tests.support.polling import eventually


class Recorder:
    """A handler that notes what it got; ``answer`` decides."""

    def __init__(self, answer: Callable[[Delivery], Outcome] = lambda _: Ack()) -> None:
        self.batches: list[list[Delivery]] = []
        self._answer = answer

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.batches.append(list(deliveries))
        return [self._answer(delivery) for delivery in deliveries]

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for batch in self.batches for delivery in batch]


async def test_what_is_published_arrives_in_order_and_in_batches(broker: Broker, amqp_url: str) -> None:
    queue = broker.topology.queues[0]
    sent = [f"{number}".encode() for number in range(200)]
    await broker.publish_many([Outgoing(queue, body, {"kind": "test"}) for body in sent])
    recorder = Recorder()
    async with consuming(broker, recorder, prefetch=100, batch_size=50, batch_window_ms=20) as consumer:
        await eventually(lambda: len(recorder.bodies) == 200)
        await consumer.stop()
    assert recorder.bodies == sent
    assert max(map(len, recorder.batches)) <= 50
    assert len(recorder.batches) < 50
    first = recorder.batches[0][0]
    assert (first.attempt, first.redelivered, first.headers["kind"]) == (1, False, "test")
    assert len(first.message_id) == 24
    assert await is_empty(amqp_url, queue)


async def test_declaring_again_changes_nothing(amqp_url: str, broker: Broker) -> None:
    queue = broker.topology.queues[0]
    await broker.publish(queue, b"kept")
    async with Broker(SecretStr(amqp_url), name="second", topology=broker.topology) as second:
        assert (await next_of(second, queue)).body == b"kept"


async def test_a_publish_to_no_queue_is_an_error_and_not_a_loss(broker: Broker) -> None:
    with pytest.raises(Unavailable):
        await broker.publish("no-such-queue", b"x")
    assert broker.is_up


async def test_a_retried_message_comes_back_later_and_then_dead_letters_with_its_history(
    broker: Broker,
) -> None:
    queue = broker.topology.queues[0]
    recorder = Recorder(lambda _: Retry("no luck"))
    await broker.publish(queue, b"unlucky", headers={"kind": "test"})
    async with consuming(broker, recorder):
        dead = await next_of(broker, dead_queue(queue))
    assert [delivery.attempt for batch in recorder.batches for delivery in batch] == [1, 2, 3]
    assert dead.body == b"unlucky"
    assert dead.headers["x-parley-attempt"] == 3
    assert dead.headers["x-parley-reason"] == "no luck"
    assert dead.headers["x-parley-queue"] == queue
    assert dead.headers["kind"] == "test"
    failed_at = recorder.batches[1][0].headers["x-parley-first-failed-at"]
    assert dead.headers["x-parley-first-failed-at"] == failed_at
    assert {delivery.message_id for batch in recorder.batches for delivery in batch} == {dead.message_id}


async def test_a_retry_waits_for_its_tier(amqp_url: str, topology: Topology) -> None:
    slow = replace(topology, retry_tiers=(RetryTier(f"{topology.queues[0]}-slow", 700),))
    times: list[float] = []

    def once(_: Delivery) -> Outcome:
        times.append(time.monotonic())
        return Retry("later") if len(times) == 1 else Ack()

    async with Broker(SecretStr(amqp_url), name="test", topology=slow) as broker:
        await broker.session()
        await broker.publish(slow.queues[0], b"x")
        async with consuming(broker, Recorder(once)):
            await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.7


async def test_a_hopeless_message_dead_letters_at_once_while_its_neighbours_pass(broker: Broker) -> None:
    queue = broker.topology.queues[0]
    recorder = Recorder(lambda delivery: Dead("not a batch") if delivery.body == b"bad" else Ack())
    await broker.publish_many([Outgoing(queue, body) for body in (b"a", b"bad", b"b")])
    async with consuming(broker, recorder) as consumer:
        dead = await next_of(broker, dead_queue(queue))
        await eventually(lambda: len(recorder.bodies) == 3)
        await consumer.stop()
    assert (dead.body, dead.headers["x-parley-reason"], dead.headers["x-parley-attempt"]) == (
        b"bad",
        "not a batch",
        1,
    )
    assert recorder.bodies == [b"a", b"bad", b"b"]


async def test_a_message_that_makes_the_handler_raise_does_not_take_its_neighbours_along(
    broker: Broker,
) -> None:
    queue = broker.topology.queues[0]
    stored: set[bytes] = set()

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if any(delivery.body == b"poison" for delivery in deliveries):
            raise ValueError("cannot bear this")
        stored.update(delivery.body for delivery in deliveries)
        return [Ack()] * len(deliveries)

    await broker.publish_many([Outgoing(queue, body) for body in (b"a", b"poison", b"b", b"c")])
    async with consuming(broker, handler, batch_window_ms=200):
        dead = await next_of(broker, dead_queue(queue))
    assert stored == {b"a", b"b", b"c"}
    assert (dead.body, dead.headers["x-parley-reason"]) == (b"poison", "ValueError")


async def test_during_an_outage_the_batch_is_held_and_no_attempt_counts(broker: Broker) -> None:
    attempts: list[int] = []

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        attempts.extend(delivery.attempt for delivery in deliveries)
        if len(attempts) < 4:
            raise unavailable("mongodb")
        return [Ack()] * len(deliveries)

    await broker.publish(broker.topology.queues[0], b"x")
    async with consuming(broker, handler) as consumer:
        await eventually(lambda: len(attempts) == 4)
        await consumer.stop()
    assert attempts == [1, 1, 1, 1]


async def test_after_a_long_outage_the_batch_is_parked_and_still_no_attempt_counts(broker: Broker) -> None:
    queue = broker.topology.queues[0]
    attempts: list[int] = []

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        attempts.extend(delivery.attempt for delivery in deliveries)
        if len(attempts) < 8:
            raise unavailable("mongodb")
        return [Ack()] * len(deliveries)

    await broker.publish(queue, b"x")
    async with consuming(broker, handler, hold_seconds=0.0) as consumer:
        await eventually(lambda: len(attempts) == 8)
        await consumer.stop()
    assert attempts == [1] * 8


async def test_stopping_during_an_outage_gives_the_deliveries_back(broker: Broker) -> None:
    queue = broker.topology.queues[0]
    held = asyncio.Event()

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        del deliveries
        held.set()
        raise unavailable("mongodb")

    await broker.publish(queue, b"kept")
    async with consuming(broker, handler) as consumer, asyncio.timeout(30):
        await held.wait()
        await consumer.stop()
    message = await next_of(broker, queue)
    assert (message.body, message.redelivered) == (b"kept", True)


async def test_a_stop_finishes_what_was_fetched(broker: Broker, amqp_url: str) -> None:
    queue = broker.topology.queues[0]
    started, release = asyncio.Event(), asyncio.Event()
    done: list[bytes] = []

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        started.set()
        await release.wait()
        done.extend(delivery.body for delivery in deliveries)
        return [Ack()] * len(deliveries)

    sent = [f"{number}".encode() for number in range(20)]
    await broker.publish_many([Outgoing(queue, body) for body in sent])
    async with consuming(broker, handler, prefetch=20, batch_size=5) as consumer:
        await started.wait()
        stopping = asyncio.create_task(consumer.stop())
        release.set()
        async with asyncio.timeout(30):
            await stopping
    assert done == sent[: len(done)]
    assert len(done) >= 5
    assert await is_empty(amqp_url, queue) is (len(done) == 20)


async def test_what_a_crashed_consumer_had_is_delivered_again(broker: Broker) -> None:
    queue = broker.topology.queues[0]
    taken = asyncio.Event()

    async def never(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        taken.set()
        await asyncio.Event().wait()
        return [Ack()] * len(deliveries)

    await broker.publish(queue, b"survivor")
    async with consuming(broker, never):
        await taken.wait()
    recorder = Recorder()
    async with consuming(broker, recorder):
        await eventually(lambda: recorder.bodies == [b"survivor"])
    assert recorder.batches[0][0].redelivered


async def test_a_message_that_kills_its_consumer_each_time_is_dead_lettered_by_the_broker(
    broker: Broker,
) -> None:
    queue = broker.topology.queues[0]
    await broker.publish(queue, b"killer")
    for _ in range(broker.topology.delivery_limit + 1):
        taken = asyncio.Event()

        async def die(deliveries: Sequence[Delivery], taken: asyncio.Event = taken) -> Sequence[Outcome]:
            taken.set()
            await asyncio.Event().wait()
            return [Ack()] * len(deliveries)

        async with consuming(broker, die), asyncio.timeout(30):
            await taken.wait()
    dead = await next_of(broker, dead_queue(queue))
    assert dead.body == b"killer"
    assert "delivery_limit" in str(dead.headers["x-death"])


async def test_a_consumer_comes_back_when_its_queue_was_deleted(broker: Broker) -> None:
    queue = broker.topology.queues[0]
    recorder = Recorder()
    async with consuming(broker, recorder):
        await broker.publish(queue, b"before")
        await eventually(lambda: recorder.bodies == [b"before"])
        session = await broker.session()
        async with await session.connection.channel() as channel:
            await channel.queue_delete(queue)

        async def published() -> bool:
            try:
                await broker.publish(queue, b"after")
            except Unavailable:
                return False
            return True

        await eventually(published)
        await eventually(lambda: b"after" in recorder.bodies)


async def test_what_cannot_be_moved_yet_is_held_and_costs_no_deliveries(
    broker: Broker, amqp_url: str
) -> None:
    """Five refusals, where the broker would dead-letter at the third delivery."""
    queue, tier = broker.topology.queues[0], broker.topology.retry_tiers[0].name
    refused = AMQP_PUBLISHED.labels(queue, "failed")._value
    recorder = Recorder(lambda delivery: Retry("not yet") if delivery.attempt == 1 else Ack())
    session = await broker.session()
    async with await session.connection.channel() as channel:
        await channel.queue_delete(tier)
        async with consuming(broker, recorder) as consumer:
            await broker.publish(queue, b"moved")
            await eventually(lambda: refused.get() >= 5)
            assert recorder.bodies == [b"moved"]
            await broker.topology.declare(channel)
            await eventually(lambda: len(recorder.bodies) == 2)
            await consumer.stop()
    assert [delivery.attempt for (delivery,) in recorder.batches] == [1, 2]
    assert await is_empty(amqp_url, queue)
    assert await is_empty(amqp_url, dead_queue(queue))
