"""From the deliveries of a queue to one call of a use case, and back to what becomes of each delivery."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from mesh.amqp.connection import Broker
from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, next_stop
from mesh.ids import is_object_id
from mesh.logs import get_logger
from persist_service.metrics import BATCH_ITEMS, BATCH_SECONDS, DEAD_ITEMS

if TYPE_CHECKING:
    from mesh.amqp.publishing import Outgoing

_log = get_logger()


class BadItemError(Exception):
    """One item of a batch that can never be handled; the text says why, without quoting content."""


ItemProto = TypeVar("ItemProto", bound=Message)
Value = TypeVar("Value")
Decoded_co = TypeVar("Decoded_co", covariant=True)


class Codec(Protocol[ItemProto, Decoded_co]):
    """How a queue's message is read. The functions are pure."""

    def items(self, body: bytes) -> Sequence[ItemProto]:
        """The items of a message. Raises ``DecodeError``."""

    def value(self, item: ItemProto) -> Decoded_co:
        """What an item means. Raises ``BadItemError``."""

    def body(self, item: ItemProto) -> bytes:
        """A message with this item alone."""


@dataclass(frozen=True, slots=True)
class _Item(Generic[ItemProto]):
    delivery: int
    proto: ItemProto


class BatchHandler(Generic[ItemProto, Value]):
    """Merges deliveries into one call of ``work``.

    ``work`` returns the reasons of items that can never be handled, by place. Such an item moves to the
    dead-letter queue in a message of its own, and the rest of its delivery is done.
    """

    def __init__(
        self,
        queue: str,
        codec: Codec[ItemProto, Value],
        work: Callable[[Sequence[Value]], Awaitable[Mapping[int, str]]],
        broker: Broker,
    ) -> None:
        self._queue = queue
        self._codec = codec
        self._work = work
        self._broker = broker

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """A ``mesh.amqp.deliveries.Handler``; raises ``Unavailable`` when a server it needs is down."""
        started = time.perf_counter()
        outcomes: list[Outcome] = [Ack()] * len(deliveries)
        items: list[_Item[ItemProto]] = []
        for place, delivery in enumerate(deliveries):
            try:
                protos = self._codec.items(delivery.body)
            except DecodeError:
                outcomes[place] = Dead("malformed: the body is not the protobuf message of this queue")
                continue
            if not protos:
                outcomes[place] = Dead("malformed: the batch is empty")
            items += [_Item(place, proto) for proto in protos]
        rejected = await self._handle(items)
        await self._bury([(deliveries[item.delivery], item.proto, reason) for item, reason in rejected])
        BATCH_ITEMS.labels(self._queue).observe(len(items))
        BATCH_SECONDS.labels(self._queue).observe(time.perf_counter() - started)
        return outcomes

    async def _handle(self, items: Sequence[_Item[ItemProto]]) -> list[tuple[_Item[ItemProto], str]]:
        rejected: list[tuple[_Item[ItemProto], str]] = []
        good: list[_Item[ItemProto]] = []
        values: list[Value] = []
        for item in items:
            try:
                values.append(self._codec.value(item.proto))
            except BadItemError as error:
                rejected.append((item, str(error)))
            else:
                good.append(item)
        if values:
            reasons = await self._work(values)
            rejected += [(good[place], reason) for place, reason in reasons.items()]
        return rejected

    async def _bury(self, dead: Sequence[tuple[Delivery, ItemProto, str]]) -> None:
        outgoing: list[Outgoing] = []
        for delivery, proto, reason in dead:
            DEAD_ITEMS.labels(self._queue).inc()
            _log.warning("persist.item_dead", queue=self._queue, reason=reason, **_ids(proto))
            alone = replace(delivery, body=self._codec.body(proto))
            outgoing.append(next_stop(alone, Dead(reason), self._queue, self._broker.topology.retry_tiers))
        if outgoing:
            await self._broker.publish_many(outgoing)


def _ids(item: Message) -> dict[str, str]:
    """What to look for; only what is an id, since a bad item may hold anything in its place."""
    message = getattr(item, "message", item)
    named = {"chat_id": getattr(item, "chat_id", ""), "message_id": getattr(message, "id", "")}
    return {name: value for name, value in named.items() if is_object_id(value)}
