"""The tasks of the service, which begin when its database is ready for them."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from mesh.amqp.batches import BatchCodec, BatchHandler
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.lifecycle import Lifecycle

Wire = TypeVar("Wire")
Item = TypeVar("Item")

Run = Callable[[], Coroutine[Any, Any, None]]

# A delivery may hold 500 recipients, and each store is asked for all of them at once.
_BATCH: Final = 4
_PREFETCH: Final = 16


class Work:
    """What runs beside the servers. Nothing begins before `prepared` returns: uniqueness rests on indexes."""

    def __init__(self, lifecycle: Lifecycle, prepared: Callable[[], Awaitable[None]]) -> None:
        self._lifecycle = lifecycle
        self._prepared = prepared

    def supervise(self, name: str, run: Run) -> None:
        """Keeps it running."""

        async def work() -> None:
            await self._prepared()
            await run()

        self._lifecycle.supervise(name, work)

    def consume(
        self,
        broker: Broker,
        queue: str,
        codec: BatchCodec[Wire, Item],
        work: Callable[[Sequence[Item]], Awaitable[None]],
    ) -> None:
        """Keeps a queue consumed until the drain."""
        handler = BatchHandler(queue, codec, work, broker.publish_many)
        consumer = Consumer(broker, queue, handler, prefetch=_PREFETCH, batch_size=_BATCH)
        self.supervise(f"consume {queue}", consumer.run)
        self._lifecycle.on_drain(f"consumer {queue}", consumer.stop)
