"""Changing who is in a group: one change at a time, and each to its end.

Two places must agree: the store, and the log with the roles in Redis. Changes of one chat that interleave
could leave them in different states, a removed user with rights say. And neither a caller that gives up
half-way, because the store is slow, nor a process that dies may leave a change that nobody is notified of:
what is begun is noted as pending until all of it is done. What is left behind is finished by whoever changes
the chat next, or by `FinishChanges`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from chat_service import proto_codec
from chat_service.domain.events import ChatAdded, ChatRemoved, with_members, with_promoted
from chat_service.domain.model import Chat, Role
from chat_service.ports.log import ChatLog, MembersNow
from chat_service.ports.members import ChatLocks, PendingChanges
from chat_service.ports.sessions import UserChannels
from chat_service.ports.store import Store
from chat_service.use_cases.append_event import AppendEvent
from chat_service.use_cases.views import ChatViews
from mesh.backoff import Backoff
from mesh.deadline import without_deadline
from mesh.errors import FailedPrecondition, Internal, NotFound, ParleyError, Unavailable, unavailable
from mesh.logs import get_logger
from parley.events.v1.chat_event_pb2 import ChatEvent

_STORE_SECONDS = 10.0
_LOG_SECONDS = 15.0
_HELD_SECONDS = 25.0  # less than the time after which a lock is lost; the note makes giving up harmless

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
        append_event: AppendEvent,
        store: Store,
        views: ChatViews,
        channels: UserChannels,
    ) -> None:
        self._locks = locks
        self._pending = pending
        self._log = log
        self._append_event = append_event
        self._store = store
        self._views = views
        self._channels = channels
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, chat_id: str, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs ``change`` while no other change of the chat runs; a caller that goes away does not stop it.

        Raises:
            ResourceExhausted: OVERLOADED, others keep the chat busy.
            Unavailable: Redis is down; or the store, which must be asked what an earlier change came to; or
                it took 25 s, and what came of it is found out later.
        """

        async def alone() -> T:
            async with self._locks.hold(chat_id):
                try:
                    async with asyncio.timeout(_HELD_SECONDS):
                        await self._finish_earlier(chat_id)
                        return await change()
                except TimeoutError:
                    raise unavailable("persist", "to change the members takes too long now") from None

        with without_deadline():
            task = asyncio.create_task(alone(), name=f"membership {chat_id}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def finish(self, chat_id: str) -> None:
        """Sees to it that nothing is pending in the chat; raises as ``run``."""
        await self.run(chat_id, _nothing)

    async def pends_removal(self, chat_id: str, user_id: str) -> bool:
        """Whether the removal of that user was begun and is not done; raises ``Unavailable``."""
        pending = await self._pending.of(chat_id)
        return pending is not None and pending.change.member_removed.user_id == user_id

    async def drain(self) -> None:
        """Returns once the changes under way are done."""
        if self._running:
            await asyncio.wait(self._running)

    async def begin(self, change: ChatEvent) -> None:
        """Notes what is about to be done, before any of it is. Raises ``Unavailable`` when Redis is down."""
        await self._pending.begin(change)

    async def store(self, chat_id: str, call: Callable[[], Awaitable[T]]) -> T:
        """Asks the store until it answers, for 10 s at most; the call must be one that may be repeated.

        Raises:
            ParleyError: its answer; where that is ``Unavailable`` or ``Internal``, whether it happened is
                found out later.
        """
        try:
            return await _persistently(call, _STORE_SECONDS)
        except (Unavailable, Internal):
            raise  # it may have happened
        except ParleyError:
            await self._pending.forget(chat_id)
            raise

    async def added(
        self, chat: Chat, change: ChatEvent, viewer_id: str, *, seconds: float = _LOG_SECONDS
    ) -> Chat:
        """Logs new members of a stored chat and tells them: then all is done. The chat as the viewer sees it.

        Tries for ``seconds``. A broker that is down does not undo it: the outbox keeps the entry.

        Raises:
            Unavailable: Redis is down; or the head was lost, and the store that knows it is down.
        """
        added = change.members_added
        roles = {member.user_id: proto_codec.role(member.role) for member in added.members}
        if roles:
            members = MembersNow(chat.member_count, roles, joined=roles)
            await _persistently(lambda: self._record(change, members), seconds)
        view = await self._views.one(viewer_id, chat)
        news = ChatAdded(replace(view, role=Role.MEMBER, unread=0), added.actor_id)
        await self._channels.publish(dict.fromkeys(roles, news))
        if roles:
            await self._pending.forget(chat.id)
        return view

    async def removed(self, chat: Chat, change: ChatEvent, *, seconds: float = _LOG_SECONDS) -> None:
        """Logs that somebody is no member any more of a chat, given as it is stored now; else as ``added``.

        A successor may have become admin by an attempt whose answer was lost, so all listed ones are logged.
        """
        removed = change.member_removed
        admins = [*_admins_but(removed.user_id, chat), *filter(None, (removed.promoted_id,))]
        roles = {**dict.fromkeys(admins, Role.ADMIN), removed.user_id: Role.NONE}
        members = MembersNow(chat.member_count, roles, left=(removed.user_id,))
        await _persistently(lambda: self._record(change, members), seconds)
        await self._pending.forget(chat.id)

    async def end_delivery(self, change: ChatEvent) -> None:
        """Tells the removed user's connections. Raises ``Unavailable`` when Redis is down."""
        removed = change.member_removed
        await self._channels.publish({removed.user_id: ChatRemoved(change.chat_id, removed.actor_id)})

    async def _finish_earlier(self, chat_id: str) -> None:
        """The store knows whether what is pending happened: then it is logged and published, else forgotten.

        Everything is tried once: the change that waits needs the rest of the time that the chat is held.
        """
        pending = await self._pending.of(chat_id)
        if pending is None:
            return
        change = pending.change
        try:
            if change.HasField("members_added"):
                happened = await self._finish_adding(chat_id, change)
            else:
                happened = await self._finish_removing(chat_id, change)
        except NotFound:
            happened = False
        if not happened:
            await self._pending.forget(chat_id)
        _log.warning("chat.change_finished_late", chat_id=chat_id, happened=happened)

    async def _finish_adding(self, chat_id: str, change: ChatEvent) -> bool:
        added = list(map(proto_codec.member, change.members_added.members))
        stored = await self._store.memberships([(chat_id, member.user_id) for member in added])
        there = [
            replace(member, role=item.role)
            for member, item in zip(added, stored, strict=True)
            if item.role is not Role.NONE
        ]
        if not there:
            return False
        user_ids = [member.user_id for member in there]
        await self._log.forget_roles(chat_id, user_ids)
        try:
            # Again, for the store may have got no further than the memberships.
            chat = await self._store.add_members(chat_id, user_ids)
        except FailedPrecondition:  # others filled the group meanwhile
            chat = await self._store.get_chat(chat_id)
        await self.added(chat, with_members(change, there), there[0].user_id, seconds=0)
        return True

    async def _finish_removing(self, chat_id: str, change: ChatEvent) -> bool:
        user_id = change.member_removed.user_id
        (now,) = await self._store.memberships([(chat_id, user_id)])
        if now.role is not Role.NONE:
            await self._log.forget_roles(chat_id, [user_id])
            return False
        leaves = user_id == change.member_removed.actor_id
        # Again, for the store may have got no further than the membership.
        promoted_id = await self._store.remove_member(chat_id, user_id, promote_successor=leaves)
        chat = await self._store.get_chat(chat_id)
        admins = _admins_but(user_id, chat)
        if leaves and len(admins) == 1:
            promoted_id = admins[0]  # perhaps an admin before; then it is no news to anybody
        await self.end_delivery(change)
        await self.removed(chat, with_promoted(change, promoted_id), seconds=0)
        return True

    async def _record(self, change: ChatEvent, members: MembersNow) -> None:
        """Gives the change its place in the log and makes ``members`` true in the same step."""
        pending = await self._pending.of(change.chat_id)
        if pending is not None and pending.logged:
            return  # by an attempt whose answer was lost; the sweeper hands over what it left
        await self._append_event(change, members)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its caller may be gone, so it is logged here as well.
            _log.info("chat.membership_change_failed", error=str(error))


async def _nothing() -> None: ...


def _admins_but(user_id: str, chat: Chat) -> list[str]:
    return [item.user_id for item in chat.members if item.role is Role.ADMIN and item.user_id != user_id]


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
