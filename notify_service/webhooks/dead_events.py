"""Dead letters of `event-hooks`: events that a subscription did not take in its time."""

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from typing_extensions import override

from mesh.amqp.connection import Broker
from mesh.amqp.deliveries import Dead, Delivery, next_stop
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import EVENT_HOOKS
from notify_service.webhooks.event import DeadEvent
from notify_service.webhooks.ports import DeadEvents
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import EventBatch


class BrokerDeadEvents(DeadEvents):
    """A `DeadEvents`. The message id is the delivery's id; the body is what a replay is read from."""

    def __init__(self, broker: Broker, queue: str = EVENT_HOOKS) -> None:
        self._broker = broker
        self._queue = queue

    @override
    async def bury(self, events: Sequence[DeadEvent]) -> None:
        """Publishes one dead letter for each."""
        await self._broker.publish_many([self._dead_letter(event) for event in events])

    def _dead_letter(self, event: DeadEvent) -> Outgoing:
        delivery = Delivery(
            body=_body(event),
            headers={},
            attempt=event.attempts,
            message_id=event.delivery_id,
            redelivered=False,
        )
        return next_stop(delivery, Dead(event.reason), self._queue, ())


def _body(event: DeadEvent) -> bytes:
    try:
        events = [ChatEvent.FromString(event.payload)]
    except DecodeError:
        # Nobody can replay it, and somebody may want to look at it.
        return event.payload
    return EventBatch(events=events, subscription_id=event.subscription_id).SerializeToString()
