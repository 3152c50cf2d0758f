"""Where events wait until the program takes them."""

import asyncio
from collections import deque

from parley_client.errors import ParleyError
from parley_client.events import Incoming


class Inbox:
    """A queue that never holds up the connection.

    Only the last `limit` events are kept. When the program takes nothing for long, the oldest go: a message
    that went counts as missed, and is fetched when the next one of its chat is taken.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._events: deque[Incoming] = deque(maxlen=limit)
        self._failure: ParleyError | None = None
        self._some = asyncio.Event()

    def put(self, event: Incoming) -> None:
        """Adds an event."""
        self._events.append(event)
        self._some.set()

    def fail(self, error: ParleyError) -> None:
        """Nothing comes any more, because of this."""
        self._failure = error
        self._some.set()

    async def take(self) -> Incoming:
        """The next event.

        Raises:
            ParleyError: there is none left, and what `fail` was given.
        """
        while not self._events:
            if self._failure is not None:
                raise self._failure
            self._some.clear()
            await self._some.wait()
        return self._events.popleft()
