"""Changing who is in a group: one change at a time, and each to its end.

Two places must agree: the store, and the log with the roles in Redis. Changes of one chat that interleave
could leave them in different states, a removed user with rights say. And neither a caller that gives up
half-way, because the store is slow, nor a process that dies may leave a change that nobody is told of: what
is begun is noted as pending, and the log takes the change and ends that note in one step. What is left behind
is finished by whoever changes the chat next, or by `FinishChanges`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from chat_service.domain.events import Change, ChatAdded, ChatRemoved, MemberRemoved, MembersAdded
from chat_service.domain.model import Chat, Role
from chat_service.ports import Broker, ChatLocks, ChatLog, Outbox, PendingChanges, Store, UserChannels
from chat_service.use_cases.views import ChatViews
from mesh.backoff import Backoff
from mesh.deadline import without_deadline
from mesh.errors import NotFound, ParleyError, Unavailable
from mesh.logs import get_logger

# Together less than the time after which a lock is lost.
_STORE_SECONDS = 10.0
_LOG_SECONDS = 15.0

_log = get_logger()
T = TypeVar("T")


class MembershipChanges:
    """The steps that all changes of membership share."""

    def __init__(
        self,
        *,
        locks: ChatLocks,
        pending: PendingChanges,
        log: ChatLog,
        outbox: Outbox,
        broker: Broker,
        store: Store,
        views: ChatViews,
        channels: UserChannels,
    ) -> None:
        self._locks = locks
        self._pending = pending
        self._log = log
        self._outbox = outbox
        self._broker = broker
        self._store = store
        self._views = views
        self._channels = channels
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, chat_id: str, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs ``change`` while no other change of the chat runs; a caller that goes away does not stop it.

        Raises:
            ResourceExhausted: OVERLOADED, others keep the chat busy.
            Unavailable: Redis is down; or the store, which must be asked what an earlier change came to.
        """

        async def alone() -> T:
            async with self._locks.hold(chat_id):
                await self._finish_earlier(chat_id)
                return await change()

        with without_deadline():
            task = asyncio.create_task(alone(), name=f"membership {chat_id}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def finish(self, chat_id: str) -> None:
        """Sees to it that nothing is pending in the chat; raises as ``run``."""
        await self.run(chat_id, _nothing)

    async def drain(self) -> None:
        """Returns once the changes under way are done."""
        if self._running:
            await asyncio.wait(self._running)

    async def begin(self, chat_id: str, change: Change) -> None:
        """Notes what is about to be done, before any of it is. Raises ``Unavailable`` when Redis is down."""
        await self._pending.begin(chat_id, change)

    async def store(self, chat_id: str, call: Callable[[], Awaitable[T]]) -> T:
        """Asks the store until it answers, for 10 s at most; the call must be one that may be repeated.

        Raises:
            ParleyError: its answer; or ``Unavailable``, and whether it happened is found out later.
        """
        try:
            return await _persistently(call, _STORE_SECONDS)
        except Unavailable:
            raise
        except ParleyError:
            await self._pending.forget(chat_id)
            raise

    async def added(
        self, chat: Chat, change: MembersAdded, viewer_id: str, *, seconds: float = _LOG_SECONDS
    ) -> Chat:
        """Logs new members of a stored chat and tells them; the chat as the viewer, a member, sees it.

        Tries for ``seconds``. A broker that is down does not undo it: the outbox keeps the entry.

        Raises:
            Unavailable: Redis is down; or the head was lost, and the store that knows it is down.
        """
        roles = {member.user_id: member.role for member in change.members}
        if roles:
            await _persistently(lambda: self._record(chat, change, roles), seconds)
        view = await self._views.one(viewer_id, chat)
        news = ChatAdded(replace(view, role=Role.MEMBER, unread=0), change.actor_id)
        await self._channels.tell(dict.fromkeys(roles, news))
        return view

    async def removed(
        self,
        chat: Chat,
        change: MemberRemoved,
        admins: Mapping[str, Role],
        *,
        seconds: float = _LOG_SECONDS,
    ) -> None:
        """Logs that a member of the chat is none any more, and who are admins now; as ``added``."""
        roles = {change.user_id: Role.NONE, **admins}
        await _persistently(lambda: self._record(chat, change, roles), seconds)

    async def end_delivery(self, chat_id: str, change: MemberRemoved) -> None:
        """Tells the removed user's connections. Raises ``Unavailable`` when Redis is down."""
        await self._channels.tell({change.user_id: ChatRemoved(chat_id, change.actor_id)})

    async def _finish_earlier(self, chat_id: str) -> None:
        """The store knows whether what is pending happened: then it is logged and told, else forgotten.

        Everything is tried once: the change that waits needs the rest of the time that the chat is held.
        """
        change = await self._pending.of(chat_id)
        if change is None:
            return
        happened = False
        try:
            chat = await self._store.get_chat(chat_id)
        except NotFound:
            await self._pending.forget(chat_id)
        else:
            if isinstance(change, MembersAdded):
                happened = await self._finish_adding(chat, change)
            else:
                happened = await self._finish_removing(chat, change)
        _log.warning("chat.change_finished_late", chat_id=chat_id, happened=happened)

    async def _finish_adding(self, chat: Chat, change: MembersAdded) -> bool:
        standing = await self._store.memberships([(chat.id, member.user_id) for member in change.members])
        there = tuple(
            replace(member, role=item.role)
            for member, item in zip(change.members, standing, strict=True)
            if item.role is not Role.NONE
        )
        if not there:
            await self._pending.forget(chat.id)
            return False
        await self._log.forget_roles(chat.id, [member.user_id for member in there])
        await self.added(chat, replace(change, members=there), there[0].user_id, seconds=0)
        return True

    async def _finish_removing(self, chat: Chat, change: MemberRemoved) -> bool:
        (now,) = await self._store.memberships([(chat.id, change.user_id)])
        if now.role is not Role.NONE:
            await self._log.forget_roles(chat.id, [change.user_id])
            await self._pending.forget(chat.id)
            return False
        admins = {member.user_id: member.role for member in chat.members if member.role is Role.ADMIN}
        if change.user_id == change.actor_id and len(admins) == 1:
            # Perhaps an admin before; then it is no news to anybody.
            change = replace(change, promoted_id=next(iter(admins)))
        await self.end_delivery(chat.id, change)
        await self.removed(chat, change, admins, seconds=0)
        return True

    async def _record(self, chat: Chat, change: Change, roles: Mapping[str, Role]) -> None:
        """Gives the change its place in the log and makes ``roles`` true in the same step."""
        await self._outbox.mark([chat.id])
        entry = await self._log.append(chat.id, change, roles, chat.member_count)
        if entry is None:
            await self._log.restore_heads(await self._store.rebuild_heads([chat.id]))
            entry = await self._log.append(chat.id, change, roles, chat.member_count)
        if entry is None:  # the chat is gone from the store: there is nobody to tell
            await self._pending.forget(chat.id)
            return
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


async def _nothing() -> None: ...


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
