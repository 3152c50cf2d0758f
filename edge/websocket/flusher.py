"""One write per connection and turn of the event loop, however many frames it got in that turn."""

import asyncio
import time
from typing import Protocol

from edge import metrics


class Flushable(Protocol):
    """What gathers frames."""

    def flush(self) -> int:
        """Writes them; gives the number of bytes."""


class Flusher:
    """Writes what the connections of this process gathered, once per turn of the event loop."""

    def __init__(self) -> None:
        self._dirty: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Has `connection` flushed at the end of this turn."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        started = time.perf_counter()
        sent = 0
        for connection in dirty:
            sent += connection.flush()
        metrics.FLUSHES.inc(len(dirty))
        metrics.SENT_BYTES.inc(sent)
        metrics.FLUSH_SECONDS.observe(time.perf_counter() - started)
        metrics.FLUSH_CONNECTIONS.observe(len(dirty))
        metrics.FLUSH_BYTES.observe(sent)
