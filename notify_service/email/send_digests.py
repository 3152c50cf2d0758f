"""Mails people what stayed unread."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from mesh.backoff import Backoff
from mesh.clock import now_ms
from mesh.errors import ParleyError, Unavailable
from mesh.logs import get_logger
from mesh.outage import Outage
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome, entry_id
from notify_service.domain.preferences import Preferences
from notify_service.email.digest import (
    MAX_CHATS,
    DueDigest,
    Email,
    WaitingChat,
    compose,
    people,
    worth_mailing,
)
from notify_service.email.ports import DigestStore, EmailQueue, UnreadChats
from notify_service.metrics import DIGESTS
from notify_service.ports import DeviceStore, Ledger, PreferenceStore

# So that one question for names, of up to two people in each of their chats, stays within its limit of 1,000.
_BATCH: Final = 20
_AT_ONCE: Final = 4
# A message may be stored a while after it was sent: better named in two digests than in none.
_LAG_MS: Final = 60_000

_log = get_logger()


@dataclass(frozen=True, slots=True)
class DigestTimes:
    """The settings, in milliseconds."""

    after_ms: int
    """How long something stays unread before it is mailed."""
    every_ms: int
    """A user is mailed at most once in this time."""


@dataclass(frozen=True, slots=True)
class _Mail:
    """Something is worth a mail to these devices."""

    chats: tuple[WaitingChat, ...]
    preferences: Preferences
    devices: tuple[Device, ...]
    decision: ClassVar[str] = "mailed"


@dataclass(frozen=True, slots=True)
class _Drop:
    """Nothing is mailed, and there is no reason to look again; why is the ledger's `detail`."""

    decision: str


@dataclass(frozen=True, slots=True)
class _Later:
    """It is too early."""

    at_ms: int
    decision: ClassVar[str] = "later"


_Verdict = _Mail | _Drop | _Later


class SendDigests:
    """Looks at armed users when they are due: supervise `run`. Several processes may; each has its own users.

    What a crash leaves behind is looked at again, and a mail that was made already has the same id again.
    """

    def __init__(
        self,
        *,
        digests: DigestStore,
        unread: UnreadChats,
        preferences: PreferenceStore,
        devices: DeviceStore,
        queue: EmailQueue,
        ledger: Ledger,
        times: DigestTimes,
        poll_seconds: float,
    ) -> None:
        self._digests = digests
        self._unread = unread
        self._preferences = preferences
        self._devices = devices
        self._queue = queue
        self._ledger = ledger
        self._times = times
        self._poll_seconds = poll_seconds
        self._outage = Outage("digest.waits", "digest.goes_on")

    async def run(self) -> None:
        """Looks again and again; what is due waits while a server is down."""
        backoff = Backoff(base=0.5, cap=30.0)
        while True:
            try:
                looked_at = await self.look()
            except Unavailable as error:
                delay = backoff.next_delay()
                self._outage.failed(error=error.message)
            else:
                self._outage.worked()
                backoff.reset()
                delay = 0.0 if looked_at == _BATCH else self._poll_seconds
            await asyncio.sleep(delay)

    async def look(self) -> int:
        """Looks at one batch of users that are due; returns how many there were.

        Raises:
            Unavailable: a server cannot be reached; the batch comes up again.
        """
        due = await self._digests.claim(_BATCH, now_ms())
        if not due:
            return 0
        try:
            await self._handle(due)
        except Unavailable:
            await self._digests.put_back({one: one.due_at_ms for one in due})
            raise
        return len(due)

    async def _handle(self, due: Sequence[DueDigest]) -> None:
        at_ms = now_ms()
        verdicts = await self._verdicts(due, at_ms)
        mails = {one: verdict for one, verdict in verdicts.items() if isinstance(verdict, _Mail)}
        if mails:
            await self._queue.publish(await self._write(mails, at_ms))
        if dropped := [_entry(one, v, at_ms) for one, v in verdicts.items() if isinstance(v, _Drop)]:
            await self._ledger.write(dropped)
        later = {one: verdict.at_ms for one, verdict in verdicts.items() if isinstance(verdict, _Later)}
        await self._digests.put_back(later)
        done = [one for one in due if one not in later]
        await self._digests.settle(done, at_ms, mailed={one.user_id for one in mails})
        for verdict in verdicts.values():
            DIGESTS.labels(verdict.decision).inc()

    async def _verdicts(self, due: Sequence[DueDigest], at_ms: int) -> Mapping[DueDigest, _Verdict]:
        users = {one.user_id for one in due}
        preferences, devices = await asyncio.gather(
            self._preferences.of_users(users), self._devices.of_users(users)
        )
        slots = asyncio.Semaphore(_AT_ONCE)

        async def verdict(one: DueDigest) -> _Verdict:
            own = preferences.get(one.user_id, Preferences())
            mailboxes = tuple(
                device for device in devices.get(one.user_id, ()) if device.kind is DeviceKind.EMAIL
            )
            async with slots:
                try:
                    return await self._verdict(one, own, mailboxes, at_ms)
                except Unavailable:
                    raise
                except ParleyError as error:
                    # One who cannot be looked at must not keep the others of the batch waiting.
                    _log.error("digest.failed", user_id=one.user_id, code=error.code, error=error.message)
                    return _Later(at_ms + self._times.after_ms)

        return dict(zip(due, await asyncio.gather(*map(verdict, due)), strict=True))

    async def _verdict(
        self, due: DueDigest, preferences: Preferences, mailboxes: tuple[Device, ...], at_ms: int
    ) -> _Verdict:
        if not preferences.enabled or not preferences.email_digest:
            return _Drop("disabled")
        if not mailboxes:
            return _Drop("no-device")
        earliest = due.last_mailed_ms + self._times.every_ms
        if due.last_mailed_ms and earliest > at_ms:
            return _Later(earliest)
        waiting = await self._unread.of_user(due.user_id)
        chats = worth_mailing(waiting, preferences, due.last_mailed_ms - _LAG_MS, at_ms)
        if not chats:
            return _Drop("read")
        since = await self._oldest(chats, at_ms)
        if since + self._times.after_ms > at_ms:
            return _Later(since + self._times.after_ms)
        return _Mail(tuple(chats), preferences, mailboxes)

    async def _oldest(self, chats: Sequence[WaitingChat], at_ms: int) -> int:
        """Since when something is unread; a time that is early enough will do.

        What was armed for may be read by now, and what is unread may have come a moment ago. Only a chat
        whose last message is that young needs a closer look.
        """
        oldest = min(chat.at_ms for chat in chats)
        for chat in chats[:MAX_CHATS]:
            if oldest + self._times.after_ms <= at_ms:
                break
            if chat.unread > 1:
                oldest = min(oldest, await self._unread.unread_since(chat))
        return oldest

    async def _write(self, mails: Mapping[DueDigest, _Mail], at_ms: int) -> list[Email]:
        names = await self._unread.names(set().union(*(people(mail.chats) for mail in mails.values())))
        return [
            Email(
                id=entry_id(one.due_at_ms, "digest", one.user_id, device.id, str(one.due_at_ms)),
                user_id=one.user_id,
                device_id=device.id,
                created_at_ms=at_ms,
                digest=compose(mail.chats, names, mail.preferences),
            )
            for one, mail in mails.items()
            for device in mail.devices
        ]


def _entry(due: DueDigest, verdict: _Drop, at_ms: int) -> LedgerEntry:
    return LedgerEntry(
        id=entry_id(due.due_at_ms, "digest", due.user_id, str(due.due_at_ms)),
        user_ids=(due.user_id,),
        message_ids=(),
        chat_id="",
        outcome=Outcome.SUPPRESSED,
        detail=verdict.decision,
        at_ms=at_ms,
    )
