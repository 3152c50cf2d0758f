"""Which connection stands just now: one state, out of which every waiter finds."""

import asyncio

from parley_client.connection import Connection
from parley_client.errors import ParleyError


class Link:
    """Connecting, connected, or ended. What has ended stays so, and says why."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._ended: ParleyError | None = None
        self._changed = asyncio.Event()

    @property
    def connection(self) -> Connection | None:
        """The connection that stands."""
        return self._connection

    def up(self, connection: Connection) -> None:
        """A connection stands."""
        if self._ended is None:
            self._connection = connection
            self._changed.set()

    def down(self) -> None:
        """It stands no more; another may follow."""
        self._connection = None

    def end(self, error: ParleyError) -> None:
        """No connection follows. Only the first reason counts."""
        self._connection = None
        self._ended = self._ended or error
        self._changed.set()

    async def live(self) -> Connection:
        """The connection, waiting for one as long as there is hope.

        Raises:
            ParleyError: what `end` was given.
        """
        while self._connection is None:
            if self._ended is not None:
                raise self._ended
            self._changed.clear()
            await self._changed.wait()
        return self._connection
