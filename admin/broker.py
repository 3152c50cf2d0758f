"""RabbitMQ as a visitor sees it: nothing is declared, nothing is taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from pydantic import SecretStr

from mesh.amqp.visit import visiting

_ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class QueueState:
    """How a queue stands: messages that wait to be delivered, and who takes them."""

    messages: int
    consumers: int


class Visit:
    """One connection to look around with."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def look(self, queue: str) -> QueueState | None:
        """None where there is no such queue. A refusal ends the channel, so each look has one of its own."""
        async with self._connection.channel(publisher_confirms=False) as channel:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    found = await channel.declare_queue(queue, passive=True)
            except ChannelNotFoundEntity:
                return None
            result = found.declaration_result
            return QueueState(result.message_count or 0, result.consumer_count or 0)


@asynccontextmanager
async def open_broker(url: SecretStr) -> AsyncIterator[Visit]:
    """A visit while entered; raises Unavailable as `mesh.amqp.visit` does."""
    async with visiting(url) as connection:
        yield Visit(connection)
