"""The tasks of the service, which begin when its database is ready for them."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Handler
from mesh.lifecycle import Lifecycle

Run = Callable[[], Coroutine[Any, Any, None]]

# A delivery may hold 500 recipients, and each store is asked for all of them at once.
_BATCH: Final = 4
_PREFETCH: Final = 16


class Work:
    """What runs beside the servers. Nothing begins before `prepared` returns: uniqueness rests on indexes."""

    def __init__(self, life: Lifecycle, prepared: Callable[[], Awaitable[None]]) -> None:
        self._life = life
        self._prepared = prepared

    def supervise(self, name: str, run: Run) -> None:
        """Keeps it running."""

        async def work() -> None:
            await self._prepared()
            await run()

        self._life.supervise(name, work)

    def consume(self, broker: Broker, queue: str, handler: Handler) -> None:
        """Keeps a queue consumed until the drain."""
        consumer = Consumer(broker, queue, handler, prefetch=_PREFETCH, batch_size=_BATCH)
        self.supervise(f"consume {queue}", consumer.run)
        self._life.on_drain(f"consumer {queue}", consumer.stop)
