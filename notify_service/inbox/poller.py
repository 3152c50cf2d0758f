"""Finds the inboxes that are due, and has them dispatched."""

import asyncio
from typing import Final

from mesh.backoff import Backoff
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.logs import get_logger
from mesh.outage import Outage
from notify_service.inbox.dispatch import Dispatch
from notify_service.inbox.inbox import Inbox
from notify_service.inbox.ports import Inboxes

POLL_SECONDS: Final = 0.2
CLAIM_MS: Final = 30_000
"""Much longer than a round takes; what a process that dies had claimed waits for so long."""
AT_ONCE: Final = 200

_log = get_logger()


class InboxPoller:
    """Supervise `run` in every process, and register `stop` as a drain phase.

    Where more is due than one round takes, every other round takes what became due last: a message to one
    person does not wait until a group of 100,000 is notified, and the group gets on as well.
    """

    def __init__(self, inboxes: Inboxes, dispatch: Dispatch, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._inboxes = inboxes
        self._dispatch = dispatch
        self._poll_seconds = poll_seconds
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._latest_first = False
        self._claimed: list[Inbox] = []
        self._claimed_until_ms = 0
        self._outage = Outage("notify.dispatch_waits", "notify.dispatch_goes_on")

    async def run(self) -> None:
        """Dispatches what is due until `stop`, waiting for what is down as long as it takes."""
        self._idle.clear()
        backoff = Backoff(base=0.2, cap=5.0)
        try:
            while not self._stopping.is_set():
                try:
                    claimed = await self._round()
                except Unavailable as error:
                    self._outage.failed(dependency=error.dependency)
                    await self._wait(backoff.next_delay())
                else:
                    self._outage.worked()
                    backoff.reset()
                    if claimed < AT_ONCE:
                        await self._wait(self._poll_seconds)
        finally:
            self._idle.set()

    async def stop(self) -> None:
        """Returns when what was claimed is dispatched; the rest is due again when its claim is over."""
        self._stopping.set()
        await self._idle.wait()

    async def _round(self) -> int:
        now = now_ms()
        if now >= self._claimed_until_ms:
            self._claimed = []  # by now they are anybody's
        if not self._claimed:
            self._claimed_until_ms = now + CLAIM_MS
            self._claimed = await self._inboxes.claim(
                now, self._claimed_until_ms, AT_ONCE, latest_first=self._latest_first
            )
        claimed = len(self._claimed)
        self._latest_first = claimed == AT_ONCE and not self._latest_first
        if claimed:
            await self._dispatch_all()
            self._claimed = []
        return claimed

    async def _dispatch_all(self) -> None:
        try:
            await self._dispatch(self._claimed)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - one bad inbox must not keep the others waiting for ever
            _log.exception("notify.dispatch_failed", claimed=len(self._claimed))
            for inbox in self._claimed:
                await self._dispatch_alone(inbox)

    async def _dispatch_alone(self, inbox: Inbox) -> None:
        try:
            await self._dispatch([inbox])
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - it stays claimed, and is tried again when that is over
            _log.exception("notify.dispatch_one_failed", chat_id=inbox.key.chat_id, user_id=inbox.key.user_id)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
