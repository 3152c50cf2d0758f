"""Each message once and in order: repeats are dropped, and what is missing is asked for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final

from parley_client.backoff import Backoff
from parley_client.declared import ChatHead, Message, ResumedChat
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
    Overflow,
    Resumed,
    Resync,
)
from parley_client.models import Cursor, Page

PAGE: Final = 100
MAX_RECOVERED: Final = 1000

History = Callable[[str, int, int | None], Awaitable[Page]]
"""(chat id, limit, before) -> a page."""
Resume = Callable[[Sequence[Cursor], float], None]
"""Asks the server for what came after some cursors, in so many seconds; `Resumed` tells the end of it."""

_RETRY_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


class Order:
    """Knows how far the program was given each chat.

    A chat begins where the server says that it stands when it is first seen. From then on a `seq` that is not
    the next one, a head elsewhere, or a `resync` means that something was missed: the server is asked to
    resume, and until the next one has come what is behind it is dropped, for it will come again.
    """

    def __init__(self, history: History, resume: Resume) -> None:
        self._history = history
        self._resume = resume
        self._at: dict[str, Cursor] = {}
        self._missing: dict[str, int] = {}  # chats that are being resumed -> messages that came of it

    def arrange(self, incoming: Incoming) -> AsyncIterator[Event]:
        """What the program is given for something that came: nothing, an event, or several."""
        match incoming:
            case Resumed():
                return self._on_resumed(incoming)
            case Overflow():
                return _these(*self._on_overflow(incoming))
            case _:
                return _these(self._take(incoming))

    def _on_overflow(self, overflow: Overflow) -> Iterable[Event | None]:
        if overflow.connected is not None:
            yield self._take(overflow.connected)
        yield from map(Gap, overflow.chat_ids)
        for chat_id in overflow.chat_ids:
            self._missing.pop(chat_id, None)  # the end of it may be among what was dropped
        self._ask(overflow.chat_ids)

    def _take(self, incoming: Event | Resync | Heads) -> Event | None:
        event: Event | None = None
        match incoming:
            case Connected():
                self._missing.clear()  # what was asked for on the connection before does not come any more
                self._compare(incoming.chats)
                event = incoming
            case Heads():
                self._compare(incoming.chats)
            case Resync(chat_id) if chat_id not in self._at:
                event = Gap(chat_id)  # it was pending: where it stood when this began nobody said
            case Resync(chat_id):
                self._ask([chat_id])
            case NewMessage(message):
                event = self._in_turn(Cursor(message.chat_id, message.seq, message.epoch or 0), incoming)
            case ChatChanged(chat_id, seq) if seq > 0:
                event = self._in_turn(Cursor(chat_id, seq, incoming.data["epoch"]), incoming)
            case ChatCreated(chat):
                self._at.setdefault(chat.id, Cursor(chat.id, chat.seq, chat.epoch))
                event = incoming
            case _:
                event = incoming
        return event

    def _compare(self, heads: Iterable[ChatHead]) -> None:
        cursors = [Cursor(head.chat_id, head.seq, head.epoch) for head in heads]
        self._ask(
            [cursor.chat_id for cursor in cursors if self._at.setdefault(cursor.chat_id, cursor) != cursor]
        )

    def _ask(self, chat_ids: Iterable[str], delay: float = 0.0) -> None:
        wanted = [chat_id for chat_id in chat_ids if chat_id in self._at and chat_id not in self._missing]
        self._missing |= dict.fromkeys(wanted, 0)
        if wanted:
            self._resume([self._at[chat_id] for chat_id in wanted], delay)

    def _in_turn(self, cursor: Cursor, event: Event) -> Event | None:
        at = self._at.get(cursor.chat_id)
        if at is not None and cursor.seq <= at.seq:
            return None
        if at is not None and cursor.seq > at.seq + 1:
            self._ask([cursor.chat_id])
            return None
        self._at[cursor.chat_id] = cursor
        if isinstance(event, NewMessage) and cursor.chat_id in self._missing:
            self._missing[cursor.chat_id] += 1
            return NewMessage(event.message, recovered=True)
        return event

    async def _on_resumed(self, resumed: Resumed) -> AsyncIterator[Event]:
        for told in resumed.chats:
            came = self._missing.pop(told.chat_id, 0)
            if told.reset or (not told.complete and came >= MAX_RECOVERED):
                came = 0
                async for event in self._reload(told):
                    yield event
            else:
                self._advance(told)
            if not (told.complete or told.reset):
                self._ask([told.chat_id])
                self._missing[told.chat_id] = came
        for chat_id, error in resumed.errors:
            self._missing.pop(chat_id, None)
            if error.retryable:
                self._ask([chat_id], max(_RETRY_SECONDS, error.retry_after_ms / 1000))
                continue
            _log.warning("chat %s cannot be resumed: %s", chat_id, error)
            if error.code != "NOT_A_MEMBER":
                # What was missed stays unknown: what comes next is taken as it comes.
                self._at.pop(chat_id, None)
                yield Gap(chat_id)

    def _advance(self, told: ResumedChat) -> None:
        # Further than what was seen, if the last entries are of a kind that this version does not know.
        at = self._at.get(told.chat_id)
        if at is None or told.seq >= at.seq:
            self._at[told.chat_id] = Cursor(told.chat_id, told.seq, told.epoch)

    async def _reload(self, told: ResumedChat) -> AsyncIterator[Event]:
        """The newest messages of the history, where the log cannot tell what was missed or it is too much."""
        at = self._at.get(told.chat_id, Cursor(told.chat_id, 0))
        messages, complete = await self._missed(told.chat_id, at.seq)
        if told.reset or not complete:
            yield Gap(told.chat_id)
        last = told.seq if told.reset else at.seq
        for message in messages:
            last = max(last, message.seq)
            self._at[told.chat_id] = Cursor(told.chat_id, message.seq, told.epoch)
            yield NewMessage(message, recovered=True)
        self._at[told.chat_id] = Cursor(told.chat_id, last, told.epoch)

    async def _missed(self, chat_id: str, after: int) -> tuple[list[Message], bool]:
        found: list[Message] = []
        before: int | None = None
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


async def _these(*events: Event | None) -> AsyncIterator[Event]:
    for event in events:
        if event is not None:
            yield event
