"""In which order a poller takes what is due, and what it does when something is down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mesh.errors import unavailable
from mesh.ids import new_object_id
from notify_service.inbox import poller as module
from notify_service.inbox.inbox import Inbox, InboxKey
from notify_service.inbox.poller import InboxPoller

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class Backlog:
    """`Inboxes` with so many due, in the order in which they became due."""

    def __init__(self, due: int) -> None:
        self.due = [Inbox(InboxKey(f"{number}", new_object_id())) for number in range(due)]
        self.claims = 0

    async def claim(
        self,
        at_ms: int,  # noqa: ARG002
        until_ms: int,  # noqa: ARG002
        limit: int,
        *,
        latest_first: bool = False,
    ) -> list[Inbox]:
        self.claims += 1
        order = self.due[::-1] if latest_first else self.due
        claimed = order[:limit]
        self.due = [inbox for inbox in self.due if inbox not in claimed]
        return claimed


class Tells:
    """A `Dispatch` that fails as often as it is notified to."""

    def __init__(self, failures: int = 0) -> None:
        self.notified: list[int] = []
        self.failures = failures
        self.calls = 0

    async def __call__(self, claimed: Sequence[Inbox]) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise unavailable("persist")
        self.notified += [int(inbox.key.user_id) for inbox in claimed]


async def run(inboxes: Any, tell: Any, count: int) -> None:
    poller = InboxPoller(inboxes, tell, poll_seconds=0.001)
    task = asyncio.create_task(poller.run())
    async with asyncio.timeout(30):
        while len(tell.notified) < count:
            await asyncio.sleep(0.001)
    await poller.stop()
    await task


async def test_a_backlog_is_taken_from_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    tell = Tells()
    await run(Backlog(7), tell, 7)
    assert tell.notified == [0, 1, 6, 5, 2, 3, 4]


async def test_what_was_claimed_is_kept_while_something_is_down() -> None:
    inboxes, tell = Backlog(3), Tells(failures=2)
    await run(inboxes, tell, 3)
    assert tell.notified == [0, 1, 2]
    assert tell.calls == 3
