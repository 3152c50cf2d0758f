"""``Broker`` on RabbitMQ."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from typing_extensions import override

from chat_service import event_codec
from chat_service.domain.model import PointerMove
from chat_service.ports.broker import Broker
from chat_service.ports.log import LogEntry
from contract.batches import encoded_batch
from mesh.amqp.connection import Broker as Amqp
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import MESSAGE_PERSIST, MESSAGE_READ

# As documented in protos/parley/events/v1/jobs.proto.
_ENTRIES_PER_MESSAGE: Final = 64
_POINTERS_PER_MESSAGE: Final = 256


class RabbitBroker(Broker):
    """The ``Broker`` port."""

    def __init__(self, amqp: Amqp) -> None:
        self._amqp = amqp

    @property
    @override
    def is_up(self) -> bool:
        return self._amqp.is_up

    @override
    async def persist(self, entries: Sequence[LogEntry]) -> None:
        encoded = iter([entry.encoded for entry in entries])
        bodies: list[Outgoing] = []
        while batch := list(islice(encoded, _ENTRIES_PER_MESSAGE)):
            bodies.append(Outgoing(MESSAGE_PERSIST, encoded_batch(batch)))
        await self._amqp.publish_many(bodies)

    @override
    async def move_pointers(self, moves: Sequence[PointerMove]) -> None:
        rest = iter(moves)
        bodies: list[Outgoing] = []
        while batch := list(islice(rest, _POINTERS_PER_MESSAGE)):
            bodies.append(Outgoing(MESSAGE_READ, event_codec.pointer_batch(batch)))
        await self._amqp.publish_many(bodies)
