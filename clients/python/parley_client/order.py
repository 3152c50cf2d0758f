"""Each message once and in order: repeats are dropped, and what is missing is fetched."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from parley_client.backoff import Backoff
from parley_client.errors import ParleyError
from parley_client.events import (
    ChatChanged,
    ChatCreated,
    Connected,
    Event,
    Gap,
    Heads,
    Incoming,
    NewMessage,
    Resync,
)
from parley_client.models import Message, Page

PAGE: Final = 100
MAX_RECOVERED: Final = 1000

History = Callable[[str, int, int | None], Awaitable[Page]]
"""(chat id, limit, before) -> a page."""

_log = logging.getLogger(__name__)


class Order:
    """Knows the last `seq` of each chat that the program was given.

    A chat begins where the server says that it stands when it is first seen; from then on a `seq` higher
    than the next one, a head beyond it, or a `resync` means that something was missed.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._last: dict[str, int] = {}

    def arrange(self, incoming: Incoming) -> AsyncIterator[Event]:
        """What the program is given for one event: nothing, the event, or what was missed and the event."""
        match incoming:
            case Connected() | Heads():
                return self._catch_up(incoming)
            case Resync(chat_id):
                return self._recover(chat_id, before=None)
            case NewMessage(message):
                return self._in_turn(message.chat_id, message.seq, incoming)
            case ChatChanged(chat_id, seq) if seq > 0:
                return self._in_turn(chat_id, seq, incoming)
            case ChatCreated():
                return self._begin(incoming)
            case _:
                return _just(incoming)

    async def _catch_up(self, incoming: Connected | Heads) -> AsyncIterator[Event]:
        if isinstance(incoming, Connected):
            yield incoming
        for head in incoming.chats:
            if head.seq > self._last.setdefault(head.chat_id, head.seq):
                async for event in self._recover(head.chat_id, before=None):
                    yield event
                # The head may be a change that is no message, which the history does not show.
                self._last[head.chat_id] = max(head.seq, self._last[head.chat_id])

    async def _begin(self, created: ChatCreated) -> AsyncIterator[Event]:
        self._last.setdefault(created.chat.id, created.chat.seq)
        yield created
        # Live frames begin when the server has joined us, which is a moment after the chat was made.
        async for event in self._recover(created.chat.id, before=None):
            yield event

    async def _in_turn(self, chat_id: str, seq: int, event: Event) -> AsyncIterator[Event]:
        last = self._last.setdefault(chat_id, seq - 1)
        if seq <= last:
            return
        if seq > last + 1:
            async for missed in self._recover(chat_id, before=seq):
                yield missed
        self._last[chat_id] = seq
        yield event

    async def _recover(self, chat_id: str, before: int | None) -> AsyncIterator[Event]:
        after = self._last.get(chat_id)
        if after is None:
            return
        messages, complete = await self._missed(chat_id, after, before)
        if not complete:
            yield Gap(chat_id)
        for message in messages:
            self._last[chat_id] = message.seq
            yield NewMessage(message, recovered=True)

    async def _missed(self, chat_id: str, after: int, before: int | None) -> tuple[list[Message], bool]:
        found: list[Message] = []
        while len(found) < MAX_RECOVERED:
            try:
                page = await self._page(chat_id, before)
            except ParleyError as error:
                _log.warning("what was missed in chat %s cannot be fetched: %s", chat_id, error)
                return found, False
            newer = [message for message in page.messages if message.seq > after]
            found[:0] = newer
            if not page.has_more or len(newer) < len(page.messages) or not newer:
                return found, True
            before = newer[0].seq
        return found, False

    async def _page(self, chat_id: str, before: int | None) -> Page:
        backoff = Backoff()
        while True:
            try:
                return await self._history(chat_id, PAGE, before)
            except ParleyError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(max(backoff.next_delay(), error.retry_after_ms / 1000))


async def _just(event: Event) -> AsyncIterator[Event]:
    yield event
