"""Notes users who were not notified because they were active, and looks again: who is gone is notified."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial, reduce
from typing import Final

from mesh.backoff import Backoff
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.logs import get_logger
from notify_service.domain.decision import Policy
from notify_service.domain.notification import Message
from notify_service.domain.wording import preview
from notify_service.inbox.active_user import ActiveUser, Finding, NotedUsers, consider, taken_for_active
from notify_service.inbox.activity_ports import ActiveUserStore, Activity, RecentMessages
from notify_service.inbox.inbox import Arrival, Inbox, InboxKey, WaitingMessage
from notify_service.inbox.ports import Inboxes
from notify_service.metrics import ACTIVE_RECHECKS
from notify_service.ports import Ledger

_BATCH: Final = 100
_AT_ONCE: Final = 4
_ENTRIES: Final = 1_000
"""Of a user's ledger, the last ones: more than anybody is sent in a few minutes."""
_SKEW_MS: Final = 10_000
"""The ledger's clock may be behind the one by which activity is noted."""

_log = get_logger()


class NoteActive:
    """Writes once per user in half the time until the look, however many messages there are."""

    def __init__(self, users: ActiveUserStore, *, after_ms: int) -> None:
        self._users = users
        self._after_ms = after_ms
        self._noted = NotedUsers()

    async def __call__(self, last_active: Mapping[str, int], at_ms: int) -> None:
        """Call it once the ledger says `active` of the messages, with the users' last activity (Unix ms).

        Raises:
            Unavailable: MongoDB cannot be reached; a repeat is safe.
        """
        new = self._noted.unknown(last_active, at_ms)
        if not new:
            return
        await self._users.arm({user_id: last_active[user_id] for user_id in new}, at_ms + self._after_ms)
        # Not until the look itself: what is being written when it comes must be noted for another one.
        self._noted.remember(new, at_ms + self._after_ms // 2)


class RecheckActive:
    """Supervise `run`; several processes may, each has its own users.

    What was suppressed after the user's last activity goes into the inbox, where the ordinary second look
    decides. It may be cut off anywhere: an inbox knows what waits in it and what it notified of, and the
    user is settled last.
    """

    def __init__(
        self,
        *,
        users: ActiveUserStore,
        activity: Activity,
        ledger: Ledger,
        recent: RecentMessages,
        inboxes: Inboxes,
        policy: Policy,
        after_ms: int,
        poll_seconds: float,
    ) -> None:
        self._users = users
        self._activity = activity
        self._ledger = ledger
        self._recent = recent
        self._inboxes = inboxes
        self._policy = policy
        self._after_ms = after_ms
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Looks again and again; who is due waits while a server is down."""
        backoff = Backoff(base=0.5, cap=30.0)
        while True:
            try:
                looked_at = await self.look(now_ms())
            except Unavailable as error:
                delay = backoff.next_delay()
                _log.warning("notify.recheck_waits", error=error.message, retry_in_seconds=round(delay, 2))
            else:
                backoff.reset()
                delay = 0.0 if looked_at == _BATCH else self._poll_seconds
            await asyncio.sleep(delay)

    async def look(self, at_ms: int) -> int:
        """Looks at one batch of users who are due; returns how many there were.

        Raises:
            Unavailable: a server cannot be reached, and nobody is notified blindly; the batch comes up again.
        """
        due = await self._users.claim(_BATCH, at_ms)
        if not due:
            return 0
        try:
            await self._handle(due, at_ms)
        except Unavailable:
            await self._users.put_back({user: user.due_at_ms for user in due}, {})
            raise
        return len(due)

    async def _handle(self, due: Sequence[ActiveUser], at_ms: int) -> None:
        active = await self._activity.last_active({user.user_id for user in due})
        findings = {user: consider(user, active[user.user_id], at_ms, self._policy) for user in due}
        gone = [user for user, finding in findings.items() if finding is Finding.OVER]
        if gone:
            await self._store(gone, active, at_ms)
        again = {user: at_ms + self._after_ms for user, f in findings.items() if f is Finding.ACTIVE}
        # Who comes back is suppressed without another note until then.
        again.update({user: user.until_ms for user in gone if user.until_ms > at_ms})
        await self._users.put_back(again, active)
        await self._users.settle([user for user in due if user not in again])
        for finding in findings.values():
            ACTIVE_RECHECKS.labels(finding.value).inc()

    async def _store(self, gone: Sequence[ActiveUser], active: Mapping[str, int], at_ms: int) -> None:
        """Puts into their inboxes what they were not notified of, in a few round trips for all of them."""
        since = {user.user_id: max(user.active_at_ms, active[user.user_id]) for user in gone}
        missed = await self._missed(since)
        chats = {chat_id for messages in missed.values() for chat_id in messages}
        recent = await self._recent.of_chats(chats) if chats else {}
        changes = {
            InboxKey(user_id, chat_id): partial(_reconsider, arrivals)
            for user_id, messages in missed.items()
            for chat_id, ids in messages.items()
            if (arrivals := _arrivals(user_id, since[user_id], ids, recent.get(chat_id, ()), at_ms))
        }
        if changes:
            await self._inboxes.change(changes)

    async def _missed(self, since: Mapping[str, int]) -> Mapping[str, Mapping[str, Collection[str]]]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def of_user(user_id: str, since_ms: int) -> Mapping[str, Collection[str]]:
            async with slots:
                return taken_for_active(await self._ledger.since(user_id, since_ms - _SKEW_MS, _ENTRIES))

        found = await asyncio.gather(*(of_user(user_id, since_ms) for user_id, since_ms in since.items()))
        return dict(zip(since, found, strict=True))


def _arrivals(
    user_id: str, since_ms: int, missed: Collection[str], recent: Sequence[Message], at_ms: int
) -> list[Arrival]:
    return [
        Arrival(
            message=WaitingMessage(message.id, message.seq, user_id in message.mentions),
            preview=preview(message),
            direct=message.direct,
            offline=False,
            at_ms=at_ms,
        )
        for message in recent
        if message.id in missed and message.created_at_ms >= since_ms
    ]


def _reconsider(arrivals: Sequence[Arrival], inbox: Inbox) -> Inbox:
    return reduce(Inbox.reconsider, arrivals, inbox)
