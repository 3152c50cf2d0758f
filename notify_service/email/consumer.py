"""Queue `email-send`: mails to be sent."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError

from mesh.amqp.connection import Broker
from mesh.amqp.deliveries import Ack, Dead, Delivery, Outcome, next_stop
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import EMAIL_SEND
from mesh.logs import get_logger
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.email.proto_codec import problem
from notify_service.ports import Deliveries
from notify_service.providers.smtp.mailer import PROVIDER
from parley.events.v1 import jobs_pb2

_MS: Final = 1000

_log = get_logger()


class EmailConsumer:
    """Hands mails over to be delivered. One that comes twice is sent once: its id is the delivery's key."""

    def __init__(
        self, deliveries: Deliveries, broker: Broker, *, expire_seconds: float, queue: str = EMAIL_SEND
    ) -> None:
        self._deliveries = deliveries
        self._broker = broker
        self._expire_ms = round(expire_seconds * _MS)
        self._queue = queue

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """One outcome per delivery. What is malformed alone is dead-lettered alone.

        Raises:
            Unavailable: MongoDB, or the broker for dead letters, cannot be reached; nothing is lost by it.
        """
        outcomes: list[Outcome] = []
        new: list[NewDelivery] = []
        malformed: list[Outgoing] = []
        for delivery in deliveries:
            try:
                batch = jobs_pb2.EmailBatch.FromString(delivery.body)
            except DecodeError as error:
                outcomes.append(Dead(f"not an EmailBatch: {error}"))
                continue
            outcomes.append(Ack() if batch.emails else Dead("an empty EmailBatch"))
            for email in batch.emails:
                if words := problem(email):
                    malformed.append(self._dead_letter(delivery, email, words))
                else:
                    new.append(self._delivery(email))
        if malformed:
            await self._broker.publish_many(malformed)
        if new:
            await self._deliveries.add(new)
        return outcomes

    def _dead_letter(self, delivery: Delivery, email: jobs_pb2.Email, words: str) -> Outgoing:
        _log.warning("email.malformed", problem=words)
        alone = replace(delivery, body=jobs_pb2.EmailBatch(emails=[email]).SerializeToString())
        return next_stop(alone, Dead(words), self._queue, ())

    def _delivery(self, email: jobs_pb2.Email) -> NewDelivery:
        return NewDelivery(
            key=f"email:{email.id}",
            lane=Lane.EMAIL,
            provider=PROVIDER,
            target_id=email.device_id,
            payload=email.SerializeToString(),
            created_at_ms=email.created_at_ms,
            expires_at_ms=email.created_at_ms + self._expire_ms,
            user_id=email.user_id,
        )
