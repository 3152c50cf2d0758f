"""``Barrier`` through the queue itself: a marker goes in at its end, and comes out after all before it.

A queue is first in, first out, and a consumer stores what it took before it takes more. So when some process
has taken the marker, and says so in MongoDB, everything that was in the queue is stored.
"""

import asyncio
from typing import Final

from typing_extensions import override

from mesh.amqp.connection import Broker
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import MESSAGE_PERSIST
from mesh.backoff import Backoff
from mesh.errors import unavailable
from mesh.ids import new_object_id
from persist_service.ports import Barrier
from persist_service.stores.markers import Markers

MARKER_HEADER: Final = "x-parley-marker"

_WAIT_SECONDS: Final = 2.0
_LOST_SECONDS: Final = 60.0  # a queue that lost its data gives no marker back
_RETRY_AFTER_MS: Final = 1_000


class QueueBarrier(Barrier):
    """``ports.Barrier``. However many wait, one marker is under way, and one more is wanted at most."""

    def __init__(self, broker: Broker, markers: Markers) -> None:
        self._broker = broker
        self._markers = markers
        self._under_way: asyncio.Task[None] | None = None
        self._wanted: asyncio.Task[None] | None = None

    @override
    async def wait(self) -> None:
        if self._wanted is None:
            # A marker that is under way went in too early for what this caller means.
            self._wanted = asyncio.create_task(self._send(after=self._under_way), name="queue barrier")
            self._wanted.add_done_callback(_note)
        done, _ = await asyncio.wait((self._wanted,), timeout=_WAIT_SECONDS)
        if not done:
            raise unavailable(
                "persist", "what was handed over before is not stored yet", retry_after_ms=_RETRY_AFTER_MS
            )
        for task in done:
            task.result()

    async def _send(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait((after,))
        self._under_way, self._wanted = self._wanted, None
        marker = new_object_id()
        await self._broker.publish_many([Outgoing(MESSAGE_PERSIST, b"", headers={MARKER_HEADER: marker})])
        backoff = Backoff(base=0.01, cap=0.25)
        try:
            async with asyncio.timeout(_LOST_SECONDS):
                while not await self._markers.take(marker):  # noqa: ASYNC110 - any process may put it there
                    await asyncio.sleep(backoff.next_delay())
        except TimeoutError as error:
            raise unavailable("persist", "the queue does not move") from error


def _note(task: asyncio.Task[None]) -> None:
    """Its callers may have gone: nobody else needs its failure."""
    if not task.cancelled():
        task.exception()
