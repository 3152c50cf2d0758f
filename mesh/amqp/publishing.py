"""Publishing that is confirmed or refused."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from pamqp.common import FieldValue

from mesh.amqp.failures import closing_is_an_error, is_nack
from mesh.amqp.topology import PROOF
from mesh.ids import new_object_id

KEEPS_NOTHING: Final = "it takes connections and keeps nothing: are most of its nodes up?"
_FRESH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish. The default exchange delivers to the queue named by ``routing_key``."""

    routing_key: str
    body: bytes
    headers: Mapping[str, FieldValue] = field(default_factory=dict)
    message_id: str = field(default_factory=new_object_id)
    exchange: str = ""


class Publisher:
    """One channel that publishes, and awaits the broker's confirms."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._exchanges: dict[str, AbstractExchange] = {"": channel.default_exchange}
        self._opened_at = time.monotonic()

    @classmethod
    async def open(cls, connection: AbstractConnection) -> Self:
        """On a new channel."""
        return cls(await connection.channel(on_return_raises=True))

    @property
    def is_fresh(self) -> bool:
        """Whether the channel was opened less than a second ago."""
        return time.monotonic() - self._opened_at < _FRESH_SECONDS

    async def publish(self, message: Outgoing) -> None:
        """Publishes persistent and mandatory; returns once the broker has confirmed.

        Raises:
            aiormq.AMQPError, aiormq.ChannelInvalidStateError: not confirmed, for whatever reason.
        """
        exchange = self._exchanges.get(message.exchange)
        if exchange is None:
            exchange = await self.channel.get_exchange(message.exchange, ensure=False)
            self._exchanges[message.exchange] = exchange
        with closing_is_an_error():
            await exchange.publish(
                aio_pika.Message(
                    message.body,
                    headers=dict(message.headers),
                    message_id=message.message_id,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    content_type="application/x-protobuf",
                ),
                message.routing_key,
                mandatory=True,
            )

    async def prove(self) -> None:
        """Returns once the broker has kept two messages in a quorum queue.

        A node that has lost most of the others still opens channels, and confirms what goes to no queue. One
        whose alarm blocks publishers (memory, disk) confirms the first message, and then reads no more.

        Raises:
            ConnectionError: it keeps none.
            aiormq.AMQPError, aiormq.ChannelInvalidStateError: no answer.
        """
        for _ in range(2):
            try:
                await self.channel.default_exchange.publish(aio_pika.Message(b""), PROOF, mandatory=False)
            except Exception as error:
                if is_nack(error):
                    raise ConnectionError(KEEPS_NOTHING) from error
                raise
