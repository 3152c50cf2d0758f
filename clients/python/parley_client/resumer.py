"""Asks the server for what was missed, in the background; the answers are events like others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from parley_client.connection import Connection
from parley_client.errors import ParleyError
from parley_client.events import Resumed, resumed_from
from parley_client.inbox import Inbox
from parley_client.models import Cursor

_CHATS: Final = 500  # in one frame


class Resumer:
    """Sends `resume` frames on the connection that `live` gives. Every request ends in one `Resumed`."""

    def __init__(self, live: Callable[[], Awaitable[Connection]], inbox: Inbox) -> None:
        self._live = live
        self._inbox = inbox
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, cursors: Sequence[Cursor], delay_seconds: float) -> None:
        """Asks after a while; returns at once."""
        for start in range(0, len(cursors), _CHATS):
            work = self._ask(cursors[start : start + _CHATS], delay_seconds)
            task = asyncio.create_task(work, name="parley-client-resume")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, cursors: Sequence[Cursor], delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        chats = [{"chatId": cursor.chat_id, "seq": cursor.seq, "epoch": cursor.epoch} for cursor in cursors]
        try:
            await (await self._live()).request("resume", {"chats": chats}, resumed_from)
        except ParleyError as error:
            self._inbox.put(Resumed((), tuple((cursor.chat_id, error) for cursor in cursors)))
