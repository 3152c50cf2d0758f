"""How long the queues are, as the broker tells."""

from typing import Final

from aio_pika.abc import AbstractChannel

from mesh.amqp.connection import Broker, Session
from mesh.amqp.failures import AMQP_ERRORS, closing_is_an_error
from mesh.amqp.handling import wait_for
from mesh.amqp.topology import dead_queue
from mesh.cancellation import is_cancelled
from mesh.metrics import QUEUE_CONSUMERS, QUEUE_READY
from mesh.outage import Outage

_ANSWER_SECONDS: Final = 5.0


class QueueDepths:
    """Asks for the lengths of all queues, the dead letters' and the retries' too; supervise ``run``.

    Every process that runs one tells the same numbers, so that they are known as long as one of them lives.
    What a process cannot ask for it does not tell: nothing is shown rather than something old.
    """

    def __init__(self, broker: Broker, *, every_seconds: float = 15.0) -> None:
        self._outage = Outage("amqp.depths_unknown", "amqp.depths_known")
        topology = broker.topology
        self._broker = broker
        self._every_seconds = every_seconds
        self._work = topology.queues
        self._other = (
            *map(dead_queue, topology.queues),
            *(tier.name for tier in topology.retry_tiers),
        )

    async def run(self) -> None:
        """Asks until cancelled, across any number of lost connections."""
        try:
            while not is_cancelled():  # aiormq may have dropped it, see `mesh.cancellation.end`
                session = await self._broker.session()
                await self._ask(session)
                if await wait_for(session.ended, self._every_seconds):
                    self._forget()
        finally:
            self._forget()

    async def _ask(self, session: Session) -> None:
        try:
            # A channel for each time: to close one that rests takes long when the broker hangs.
            with closing_is_an_error():
                async with await session.connection.channel(publisher_confirms=False) as channel:
                    await self._look(channel)
        except AMQP_ERRORS as error:
            self._forget()
            self._outage.failed(error=str(error) or type(error).__name__)
        else:
            self._outage.worked()

    async def _look(self, channel: AbstractChannel) -> None:
        for queue in (*self._work, *self._other):
            declared = await channel.declare_queue(queue, passive=True, timeout=_ANSWER_SECONDS)
            QUEUE_READY.labels(queue).set(declared.declaration_result.message_count or 0)
            if queue in self._work:
                QUEUE_CONSUMERS.labels(queue).set(declared.declaration_result.consumer_count or 0)

    def _forget(self) -> None:
        QUEUE_READY.clear()
        QUEUE_CONSUMERS.clear()
