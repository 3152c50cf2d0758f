"""Where events wait until the program takes them."""

import asyncio
from collections import deque

from parley_client.errors import ParleyError
from parley_client.events import ChatCreated, Connected, Heads, Incoming, NewMessage, Overflow, Resumed


class Inbox:
    """A queue that never holds up the connection.

    `limit` events wait at most. When the program takes nothing for so long, all that waits gives way to one
    `Overflow`, which names the chats that something is missing of. The limit is well above what one `resume`
    brings (2,000 entries), or what is fetched afterwards would not fit either.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._events: deque[Incoming] = deque()
        self._limit = limit
        self._failure: ParleyError | None = None
        self._some = asyncio.Event()

    def put(self, event: Incoming) -> None:
        """Adds an event."""
        if len(self._events) >= self._limit:
            overflow = _overflow(self._events)
            self._events.clear()
            self._events.append(overflow)
        self._events.append(event)
        self._some.set()

    def fail(self, error: ParleyError) -> None:
        """Nothing comes any more, because of this. Only the first reason counts."""
        self._failure = self._failure or error
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


def _overflow(events: deque[Incoming]) -> Overflow:
    connected: Connected | None = None
    chat_ids: dict[str, None] = {}
    for event in events:
        match event:
            case Overflow(earlier, before):
                chat_ids |= dict.fromkeys(earlier)
                connected = before or connected
            case Connected():
                connected = event
            case Heads(chats):
                chat_ids |= dict.fromkeys(head.chat_id for head in chats)
            case Resumed(chats, errors):
                chat_ids |= dict.fromkeys(told.chat_id for told in chats)
                chat_ids |= dict.fromkeys(chat_id for chat_id, _ in errors)
            case NewMessage(message):
                chat_ids[message.chat_id] = None
            case ChatCreated(chat):
                chat_ids[chat.id] = None
            case _:
                # Who comes and goes belongs to no chat.
                chat_ids[getattr(event, "chat_id", "")] = None
    return Overflow(tuple(chat_ids), connected)
