"""What becomes of the items of deliveries, on a real broker; an item is a string that says what it is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aio_pika.abc import AbstractIncomingMessage
from google.protobuf.struct_pb2 import ListValue, Value
from structlog.testing import capture_logs

from mesh.amqp.batches import BadItemError, BatchCodec, BatchHandler
from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import dead_queue
from mesh.errors import unavailable
from mesh.ids import new_object_id
from mesh.metrics import AMQP_ITEMS
from tests.integration.mesh.conftest import consuming, is_empty, next_of
from tests.support.polling import eventually


def _read(value: Value) -> str | None:
    text: str = value.string_value
    if text.startswith("bad"):
        raise BadItemError("it is bad")
    return None if text.startswith("new") else text


CODEC = BatchCodec(
    "ListValue",
    split=lambda body: ListValue.FromString(body).values,
    read=_read,
    alone=lambda value: ListValue(values=[value]).SerializeToString(),
    ids=lambda value: {"chat_id": value.string_value.removeprefix("bad ")},
)


def body(*texts: str) -> bytes:
    return ListValue(values=[Value(string_value=text) for text in texts]).SerializeToString()


class Work:
    """Notes what it is called with, and does before what a test decides."""

    def __init__(self, first: Callable[[], Awaitable[None]] | None = None, *, rejects: str = "") -> None:
        self.calls: list[list[str]] = []
        self._first = first
        self._rejects = rejects

    async def __call__(self, items: Sequence[str]) -> Mapping[int, str] | None:
        if self._first is not None:
            await self._first()
        self.calls.append(list(items))
        return {place: "refused" for place, item in enumerate(items) if item == self._rejects}

    @property
    def items(self) -> set[str]:
        return {item for call in self.calls for item in call}


async def all_of(broker: Broker, queue: str, count: int) -> dict[bytes, AbstractIncomingMessage]:
    """So many messages of a queue, by body; there are no more."""
    found = [await next_of(broker, queue) for _ in range(count)]
    session = await broker.session()
    async with await session.connection.channel() as channel:
        source = await channel.get_queue(queue, ensure=False)
        assert await source.get(fail=False, no_ack=True) is None
    return {message.body: message for message in found}


def counted(queue: str) -> dict[str, float]:
    return {
        outcome: AMQP_ITEMS.labels(queue, outcome)._value.get() for outcome in ("handled", "dead", "unknown")
    }


async def test_the_items_of_many_deliveries_are_one_call_and_what_is_bad_dies_alone(
    broker: Broker, amqp_url: str
) -> None:
    queue, chat_id = broker.topology.queues[0], new_object_id()
    sent = (body("a", f"bad {chat_id}", "b"), body("c", "new kind"), b"\xff\xff", b"", body("d", "bad words"))
    await broker.publish_many([Outgoing(queue, one, {"kind": "test"}, f"m{n}") for n, one in enumerate(sent)])
    work = Work(rejects="c")
    handler = BatchHandler(queue, CODEC, work, broker.publish_many)
    with capture_logs() as lines:
        async with consuming(broker, handler, batch_window_ms=500) as consumer:
            await eventually(lambda: work.items == {"a", "b", "c", "d"})
            dead = await all_of(broker, dead_queue(queue), 5)
            await consumer.stop()
    assert len(work.calls) < len(sent)
    assert {one: str(message.headers["x-parley-reason"]) for one, message in dead.items()} == {
        body(f"bad {chat_id}"): "it is bad",
        body("bad words"): "it is bad",
        body("c"): "refused",
        b"\xff\xff": "malformed: the body is no ListValue",
        b"": "malformed: the ListValue is empty",
    }
    alone = dead[body(f"bad {chat_id}")]
    assert (alone.message_id, alone.headers["kind"], alone.headers["x-parley-queue"]) == ("m0", "test", queue)
    assert counted(queue) == {"handled": 3, "dead": 3, "unknown": 1}
    named = [line.get("chat_id") for line in lines if line["event"] == "amqp.item_dead"]
    assert set(named) == {chat_id, None}, "what is no id may be what somebody wrote"
    assert await is_empty(amqp_url, queue)


async def test_a_kind_that_is_not_known_is_never_dead_lettered(broker: Broker, amqp_url: str) -> None:
    queue, work = broker.topology.queues[0], Work()
    await broker.publish(queue, body("new kind", "new other"))
    async with consuming(broker, BatchHandler(queue, CODEC, work, broker.publish_many)) as consumer:
        await eventually(lambda: counted(queue)["unknown"] == 2)
        await consumer.stop()
    assert work.calls == []
    assert await is_empty(amqp_url, queue)
    assert await is_empty(amqp_url, dead_queue(queue))


async def test_an_outage_of_what_the_work_needs_repeats_no_dead_letter(broker: Broker) -> None:
    queue, tries = broker.topology.queues[0], 0

    async def down_for_a_while() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise unavailable("mongodb")

    work = Work(down_for_a_while)
    await broker.publish(queue, body("a", "bad"))
    async with consuming(broker, BatchHandler(queue, CODEC, work, broker.publish_many)) as consumer:
        await eventually(lambda: counted(queue)["handled"] == 1)
        await consumer.stop()
    assert work.calls == [["a"]]
    await all_of(broker, dead_queue(queue), 1)


async def test_who_dies_between_the_work_and_the_dead_letters_loses_neither(broker: Broker) -> None:
    queue, work, reached = broker.topology.queues[0], Work(), asyncio.Event()

    async def die(messages: Sequence[Outgoing]) -> None:
        del messages
        reached.set()
        await asyncio.Event().wait()

    await broker.publish(queue, body("a", "bad"))
    async with consuming(broker, BatchHandler(queue, CODEC, work, die)), asyncio.timeout(30):
        await reached.wait()
    async with consuming(broker, BatchHandler(queue, CODEC, work, broker.publish_many)) as consumer:
        dead = await all_of(broker, dead_queue(queue), 1)
        await consumer.stop()
    assert work.calls == [["a"], ["a"]]
    assert set(dead) == {body("bad")}


async def test_dead_letters_that_the_broker_does_not_take_are_tried_again(broker: Broker) -> None:
    queue, work, refusals = broker.topology.queues[0], Work(), 0

    async def refuse_twice(messages: Sequence[Outgoing]) -> None:
        nonlocal refusals
        refusals += 1
        if refusals < 3:
            raise unavailable("rabbitmq")
        await broker.publish_many(messages)

    await broker.publish(queue, body("a", "bad"))
    async with consuming(broker, BatchHandler(queue, CODEC, work, refuse_twice)) as consumer:
        await all_of(broker, dead_queue(queue), 1)
        await consumer.stop()
    assert work.calls == [["a"]] * 3
