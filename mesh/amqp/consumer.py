"""A consumer that takes deliveries in batches and settles each: done, retried later, or dead-lettered.

At least once: a delivery is acknowledged only after its handler is done with it and, if it goes elsewhere,
after the broker has confirmed it there.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from mesh.amqp.connection import Broker, Session
from mesh.amqp.deliveries import Ack, Dead, Handler, Park, Retry, next_stop, to_delivery
from mesh.amqp.failures import AMQP_ERRORS, closing_is_an_error
from mesh.amqp.handling import Settlement, handle, wait_for
from mesh.amqp.in_hand import InHand
from mesh.amqp.publishing import Outgoing
from mesh.amqp.traces import traced
from mesh.backoff import Backoff
from mesh.errors import Unavailable
from mesh.logs import get_logger
from mesh.metrics import AMQP_BATCH_SIZE, AMQP_DELIVERIES, AMQP_HANDLER_SECONDS

# Far below the 30 minutes after which RabbitMQ takes a kept delivery back (consumer_timeout).
_HOLD_SECONDS: Final = 600.0
_OUTCOME_LABEL: Final = {Ack: "ack", Retry: "retry", Dead: "dead", Park: "parked"}
_log = get_logger()


@dataclass(frozen=True, slots=True)
class _Options:
    queue: str
    handler: Handler
    prefetch: int
    batch_size: int
    window_seconds: float
    hold_seconds: float


class Consumer:
    """Consumes one queue: supervise ``run`` and register ``stop`` as a drain phase.

    One batch at a time, in the order of arrival: at most ``batch_size`` deliveries, waiting up to
    ``batch_window_ms`` for it to fill after the first (0 takes what is there, which already batches under
    load). ``prefetch`` is how many unsettled deliveries the broker lets this process have.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        handler: Handler,
        *,
        prefetch: int = 256,
        batch_size: int = 64,
        batch_window_ms: float = 0,
        hold_seconds: float = _HOLD_SECONDS,
    ) -> None:
        if not 1 <= batch_size <= prefetch:
            raise ValueError("need 1 <= batch_size <= prefetch")
        self._broker = broker
        self._options = _Options(
            queue, traced(queue, handler), prefetch, batch_size, batch_window_ms / 1000, hold_seconds
        )
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._subscription: _Subscription | None = None

    async def run(self) -> None:
        """Consumes until ``stop``, across any number of lost connections."""
        self._idle.clear()
        backoff = Backoff(base=0.1, cap=5.0)
        try:
            while not self._stopping.is_set():
                session = await self._session_or_stop()
                if session is None:
                    return
                try:
                    with closing_is_an_error():
                        await self._consume(session)
                    backoff.reset()
                except AMQP_ERRORS as error:
                    _log.warning("amqp.consumer_interrupted", queue=self._options.queue, error=str(error))
                    await wait_for(self._stopping, backoff.next_delay())
        finally:
            self._idle.set()

    async def stop(self) -> None:
        """Takes no more, and returns when what was fetched is settled (or given back, during an outage)."""
        self._stopping.set()
        if self._subscription is not None:
            self._subscription.interrupt()
        await self._idle.wait()

    async def _session_or_stop(self) -> Session | None:
        session = asyncio.create_task(self._broker.session())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((session, stop), return_when=asyncio.FIRST_COMPLETED)
            return session.result() if session.done() and not self._stopping.is_set() else None
        finally:
            session.cancel()
            stop.cancel()

    async def _consume(self, session: Session) -> None:
        async with await session.connection.channel(publisher_confirms=False) as channel:
            self._subscription = _Subscription(self._broker, channel, self._options)
            try:
                if not self._stopping.is_set():
                    await self._subscription.run()
            finally:
                self._subscription = None


class _Subscription:
    """One channel's consumer. What it leaves unsettled, the broker takes back when the channel ends."""

    def __init__(self, broker: Broker, channel: AbstractChannel, options: _Options) -> None:
        self._broker = broker
        self._channel = channel
        self._options = options
        # None wakes whoever waits for a delivery; ``_interrupted`` says that no more should be waited for.
        self._buffer: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._interrupted = asyncio.Event()
        self._settled_tag = 0
        self._in_hand = InHand(options.queue)

    def interrupt(self, *_: object) -> None:
        """Ends the waiting: the consumer stops, or the channel or the subscription is gone."""
        self._interrupted.set()
        self._buffer.put_nowait(None)

    async def run(self) -> None:
        """Handles batch after batch until interrupted, then what was already fetched."""
        options = self._options
        await self._channel.set_qos(prefetch_count=options.prefetch)
        queue = await self._broker.topology.declare_queue(self._channel, options.queue)
        self._channel.close_callbacks.add(self.interrupt)
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self.interrupt)  # the queue was deleted
        tag = await queue.consume(self._buffer.put)
        while not self._interrupted.is_set():
            batch = await self._next_batch()
            if batch and not await self._process(batch):
                return
        if self._channel.is_closed:
            return
        await queue.cancel(tag)
        while batch := self._take(options.batch_size):
            if not await self._process(batch):
                return

    async def _next_batch(self) -> list[AbstractIncomingMessage]:
        first = await self._buffer.get()
        if first is None:
            return []
        batch = [first, *self._take(self._options.batch_size - 1)]
        if self._options.window_seconds > 0 and len(batch) < self._options.batch_size:
            await self._fill(batch)
        return batch

    async def _fill(self, batch: list[AbstractIncomingMessage]) -> None:
        try:
            async with asyncio.timeout(self._options.window_seconds):
                while len(batch) < self._options.batch_size:
                    message = await self._buffer.get()
                    if message is None:
                        return
                    batch.append(message)
        except TimeoutError:
            return

    def _take(self, limit: int) -> list[AbstractIncomingMessage]:
        """What is there now, up to ``limit``."""
        taken: list[AbstractIncomingMessage] = []
        while len(taken) < limit and not self._buffer.empty():
            message = self._buffer.get_nowait()
            if message is not None:
                taken.append(message)
        return taken

    async def _process(self, batch: Sequence[AbstractIncomingMessage]) -> bool:
        """Handles and settles a batch. False: interrupted, and the broker takes the deliveries back."""
        options = self._options
        started = time.perf_counter()
        with self._in_hand.holding(message.message_id or "" for message in batch):
            settlements = await handle(
                options.queue,
                options.handler,
                [to_delivery(message) for message in batch],
                hold_seconds=options.hold_seconds,
                interrupted=self._interrupted,
            )
            if settlements is None:
                return False
            AMQP_BATCH_SIZE.labels(options.queue).observe(len(batch))
            AMQP_HANDLER_SECONDS.labels(options.queue).observe(time.perf_counter() - started)
            return await self._settle(batch, settlements)

    async def _settle(
        self, batch: Sequence[AbstractIncomingMessage], settlements: Sequence[Settlement]
    ) -> bool:
        """False: interrupted, as ``_process``."""
        queue, tiers = self._options.queue, self._broker.topology.retry_tiers
        moved = [
            next_stop(to_delivery(message), settlement, queue, tiers)
            for message, settlement in zip(batch, settlements, strict=True)
            if not isinstance(settlement, Ack)
        ]
        if moved and not await self._move(moved):
            return False
        await self._ack_all(batch)
        for settlement in settlements:
            AMQP_DELIVERIES.labels(queue, _OUTCOME_LABEL[type(settlement)]).inc()
            if isinstance(settlement, Dead | Retry):
                _log.warning(
                    "amqp.not_handled",
                    queue=queue,
                    outcome=_OUTCOME_LABEL[type(settlement)],
                    reason=settlement.reason,
                )
        return True

    async def _move(self, moved: Sequence[Outgoing]) -> bool:
        """Hands them to other queues, however long that takes; false when interrupted before.

        They are not given back meanwhile: they would come again at once, and each time counts towards the
        broker's limit of deliveries.
        """
        backoff = Backoff(base=0.1, cap=5.0)
        while True:
            try:
                await self._broker.publish_many(moved)
            except Unavailable:
                # Some may have arrived all the same: then they are repeated.
                if await wait_for(self._interrupted, backoff.next_delay()):
                    return False
            else:
                return True

    async def _ack_all(self, batch: Sequence[AbstractIncomingMessage]) -> None:
        tags = [message.delivery_tag or 0 for message in batch]
        # One frame for the batch, if nothing unsettled lies below its last tag.
        if tags == list(range(self._settled_tag + 1, self._settled_tag + 1 + len(tags))):
            await batch[-1].ack(multiple=True)
        else:
            for message in batch:
                await message.ack()
        self._settled_tag = max(tags)
