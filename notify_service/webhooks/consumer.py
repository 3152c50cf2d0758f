"""Queue `event-hooks`: what happened in chats, for integrators and for whoever left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError

from mesh.amqp.connection import Broker
from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, next_stop
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import EVENT_HOOKS
from mesh.logs import get_logger
from notify_service.webhooks.end_memberships import EndMemberships
from notify_service.webhooks.intake import Happened, TakeEvents
from notify_service.webhooks.proto_codec import BadEventError, from_wire
from parley.events.v1.jobs_pb2 import EventBatch

_log = get_logger()


@dataclass(frozen=True, slots=True)
class _Read:
    """What one delivery holds: good events, and dead letters of their own for the others."""

    outcome: Outcome
    happened: tuple[Happened, ...] = ()
    bad: tuple[Outgoing, ...] = ()


class EventHooksConsumer:
    """A `mesh.amqp.deliveries.Handler` for `EventBatch`es; what is malformed alone is dead-lettered alone."""

    def __init__(
        self, take: TakeEvents, end_memberships: EndMemberships, broker: Broker, queue: str = EVENT_HOOKS
    ) -> None:
        self._take = take
        self._end_memberships = end_memberships
        self._broker = broker
        self._queue = queue

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """One outcome per delivery.

        Raises:
            Unavailable: MongoDB, or the broker for dead letters, cannot be reached; nothing is lost by it.
        """
        read = [self._read(delivery) for delivery in deliveries]
        if happened := [event for part in read for event in part.happened]:
            await self._end_memberships([item.event for item in happened])
            await self._take(happened)
        if bad := [letter for part in read for letter in part.bad]:
            await self._broker.publish_many(bad)
        return [part.outcome for part in read]

    def _read(self, delivery: Delivery) -> _Read:
        try:
            batch = EventBatch.FromString(delivery.body)
        except DecodeError:
            return _Read(Dead("malformed: not an EventBatch"))
        if not batch.events:
            return _Read(Dead("malformed: the batch is empty"))
        happened: list[Happened] = []
        bad: list[Outgoing] = []
        for wire in batch.events:
            try:
                event = from_wire(wire)
            except BadEventError as error:
                _log.warning("hooks.malformed", problem=str(error))
                alone = EventBatch(events=[wire], subscription_id=batch.subscription_id)
                letter = replace(delivery, body=alone.SerializeToString())
                bad.append(next_stop(letter, Dead(f"malformed: {error}"), self._queue, ()))
            else:
                if event is not None:
                    happened.append(Happened(event, batch.subscription_id, wire.traceparent))
        return _Read(Ack(), tuple(happened), tuple(bad))
