"""Changing who is in a group: one change at a time, and each to its end.

Two places must agree: the store, and the log with the roles in Redis. Changes of one chat that interleave
could leave them in different states, a removed user with rights say. And a caller that gives up half-way,
because the store is slow, must not leave a change that nobody is told of.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from chat_service.domain.events import Change
from chat_service.domain.model import Role
from chat_service.ports import Broker, ChatLocks, ChatLog, Outbox, Store
from mesh.backoff import Backoff
from mesh.deadline import without_deadline
from mesh.errors import Unavailable
from mesh.logs import get_logger

# Together less than the time after which a lock is lost.
_STORE_SECONDS = 10.0
_LOG_SECONDS = 15.0

_log = get_logger()
T = TypeVar("T")


class MembershipChanges:
    """The steps that all changes of membership share."""

    def __init__(self, locks: ChatLocks, log: ChatLog, outbox: Outbox, broker: Broker, store: Store) -> None:
        self._locks = locks
        self._log = log
        self._outbox = outbox
        self._broker = broker
        self._store = store
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, chat_id: str, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs ``change`` while no other change of the chat runs; a caller that goes away does not stop it.

        Raises:
            ResourceExhausted: OVERLOADED, others keep the chat busy.
            Unavailable: Redis is down.
        """

        async def alone() -> T:
            async with self._locks.hold(chat_id):
                return await change()

        with without_deadline():
            task = asyncio.create_task(alone(), name=f"membership {chat_id}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Returns once the changes under way are done."""
        if self._running:
            await asyncio.wait(self._running)

    async def store(self, call: Callable[[], Awaitable[T]]) -> T:
        """Asks the store until it answers, for 10 s at most; the call must be one that may be repeated.

        Raises:
            ParleyError: its answer; or ``Unavailable``, and whether it happened is not known.
        """
        return await _persistently(call, _STORE_SECONDS)

    async def record(
        self, chat_id: str, change: Change, roles: Mapping[str, Role], member_count: int
    ) -> None:
        """Gives the change its place in the log and makes ``roles`` true in the same step.

        Tries for 15 s. A broker that is down does not undo it: the outbox keeps the entry.

        Raises:
            Unavailable: Redis is down; or the head was lost, and the store that knows it is down.
        """
        await _persistently(lambda: self._record(chat_id, change, roles, member_count), _LOG_SECONDS)

    async def _record(
        self, chat_id: str, change: Change, roles: Mapping[str, Role], member_count: int
    ) -> None:
        await self._outbox.mark([chat_id])
        entry = await self._log.append(chat_id, change, roles, member_count)
        if entry is None:
            await self._log.restore_heads(await self._store.rebuild_heads([chat_id]))
            entry = await self._log.append(chat_id, change, roles, member_count)
        if entry is None:
            return  # the chat is gone from the store: there is nobody to tell
        try:
            await self._broker.persist([entry])
            await self._outbox.clear([entry])
        except Unavailable as error:
            _log.warning("chat.change_in_outbox", dependency=error.dependency)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its caller may be gone, so it is told here as well.
            _log.info("chat.membership_change_failed", error=str(error))


async def _persistently(call: Callable[[], Awaitable[T]], seconds: float) -> T:
    backoff = Backoff(base=0.1, cap=1.0)
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except Unavailable:
            delay = backoff.next_delay()
            if time.monotonic() + delay > deadline:
                raise
            await asyncio.sleep(delay)
