"""Chats that a connection should be in and could not join: it joins them as soon as they can be asked about.

A chat can be asked about neither while its log is rebuilt nor while the store that knows its members is away.
Its connections must not stay silent for that, and they need not come back for it either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from edge.rooms.membership import Joined, Membership
from edge.websocket.connection import Connection
from mesh.backoff import Backoff
from mesh.errors import ParleyError
from mesh.logs import get_logger
from parley.edge.v1.close_codes import CloseCode

AT_ONCE: Final = 8
"""Connections of one edge that try at the same time: chat_service must not be overrun when it is back."""
_FIRST_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 10.0

_log = get_logger()


class PendingJoins:
    """The chats that one connection waits for; a task tries again while there are any.

    `turn` is held while rooms change. `on_joined` tells the client of a chat that is joined now; what it
    raises keeps the chat pending. `on_refused` tells it of one that is not the user's,
    and `on_change` that there may be fewer.
    """

    def __init__(
        self,
        connection: Connection,
        membership: Membership,
        turn: asyncio.Lock,
        at_once: asyncio.Semaphore,
        *,
        on_joined: Callable[[str], Awaitable[None]],
        on_refused: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._membership = membership
        self._turn = turn
        self._at_once = at_once
        self._on_joined = on_joined
        self._on_refused = on_refused
        self._on_change = on_change
        self._chats: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._chats))

    def add(self, chat_id: str) -> None:
        """Has a chat joined as soon as it can be."""
        if self._connection.open:
            self._chats[chat_id] = None
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run(), name="pending joins")

    def discard(self, chat_id: str) -> bool:
        """Forgets a chat that was joined, left or lost; whether it was pending."""
        if chat_id not in self._chats:
            return False
        del self._chats[chat_id]
        return True

    def close(self) -> None:
        """Forgets all, since the connection is gone."""
        self._chats.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        backoff = Backoff(base=_FIRST_SECONDS, cap=_MOST_SECONDS)
        while self._chats and self._connection.open:
            await asyncio.sleep(backoff.next_delay())
            async with self._at_once, self._turn:
                try:
                    await self._try()
                except ParleyError as error:
                    _log.debug("session.join_pending", connection_id=self._connection.id, code=error.code)
                    if not error.retryable:
                        # It will not be better here: a fresh connection finds out.
                        self._connection.close(CloseCode.TRY_AGAIN_LATER)
                self._on_change()

    async def _try(self) -> None:
        joined = await self._membership.join(self._connection, self._chats)
        told = Joined([], [])
        for head in joined.heads:
            if head.chat_id in self._chats:
                await self._on_joined(head.chat_id)
                self.discard(head.chat_id)
                told.heads.append(head)
        self._membership.release(self._connection, told)
        for chat_id, error in joined.refused:
            if not error.retryable and self.discard(chat_id):
                self._on_refused(chat_id)
