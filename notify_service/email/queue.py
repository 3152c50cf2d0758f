"""Puts mails into the queue `email-send`."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import EMAIL_SEND
from mesh.parts import parts
from notify_service.email.digest import Email
from notify_service.email.ports import EmailQueue
from notify_service.email.proto_codec import to_proto
from parley.events.v1.jobs_pb2 import EmailBatch

_BATCH: Final = 64


class BrokerEmailQueue(EmailQueue):
    """An `EmailQueue`."""

    def __init__(self, broker: Broker, queue: str = EMAIL_SEND) -> None:
        self._broker = broker
        self._queue = queue

    @override
    async def publish(self, emails: Sequence[Email]) -> None:
        """In batches of up to 64, confirmed by the broker."""
        await self._broker.publish_many(
            [
                Outgoing(self._queue, EmailBatch(emails=map(to_proto, batch)).SerializeToString())
                for batch in parts(emails, _BATCH)
            ]
        )
