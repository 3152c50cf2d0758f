"""Finishing changes of membership whose process died, or whose store or Redis was away for too long."""

import asyncio
from typing import Final

from chat_service.ports.members import PendingChanges
from chat_service.use_cases.membership_changes import MembershipChanges
from mesh.errors import ParleyError
from mesh.outage import Outage

_CHATS_PER_ROUND: Final = 50


class FinishChanges:
    """What happened in the store is logged in the chat, also when nobody changes that chat again."""

    def __init__(
        self, pending: PendingChanges, changes: MembershipChanges, *, interval_seconds: float, age_ms: int
    ) -> None:
        self._pending = pending
        self._changes = changes
        self._interval_seconds = interval_seconds
        # Younger ones are still under way.
        self._age_ms = age_ms
        self._outage = Outage("chat.change_still_pending", "chat.changes_finish")

    async def run(self) -> None:
        """Looks until cancelled; raises ``Unavailable`` when Redis goes away."""
        while True:
            await self.sweep()
            await asyncio.sleep(self._interval_seconds)

    async def sweep(self) -> None:
        """One round. A chat that cannot be finished now waits for the next."""
        for chat_id in await self._pending.left_behind(self._age_ms, _CHATS_PER_ROUND):
            try:
                await self._changes.finish(chat_id)
            except ParleyError as error:
                self._outage.failed(chat_id=chat_id, error=error.message)
            else:
                self._outage.worked()
