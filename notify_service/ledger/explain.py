"""Answers "why did this person get no push?"."""

import asyncio
from typing import Protocol

from mesh.ids import is_object_id, object_id_seconds
from notify_service.domain.ledger import LedgerEntry
from notify_service.domain.limits import invalid, require_user_id
from notify_service.domain.preferences import Preferences
from notify_service.ledger.explanation import Explanation, Trace, Waiting, explain
from notify_service.ports import DeviceStore, Ledger, PreferenceStore

_MOST_ENTRIES = 500


class Waits(Protocol):
    """Knows what has not happened yet: the inboxes before the decision, the deliveries after it."""

    async def is_waiting(self, user_id: str, message_id: str) -> bool:
        """Whether the message waits there for this user; raises `Unavailable`."""
        ...


class ExplainNotification:
    """Puts together what is known of one message and one user."""

    def __init__(
        self,
        inboxes: Waits,
        deliveries: Waits,
        ledger: Ledger,
        devices: DeviceStore,
        preferences: PreferenceStore,
    ) -> None:
        self._inboxes = inboxes
        self._deliveries = deliveries
        self._ledger = ledger
        self._devices = devices
        self._preferences = preferences

    async def __call__(self, user_id: str, message_id: str) -> Explanation:
        """What became of it.

        Raises:
            InvalidArgument: an id breaks its limits.
            Unavailable: MongoDB cannot be reached.
        """
        require_user_id(user_id)
        if not is_object_id(message_id):
            raise invalid("message_id: must be 24 lower-case hex digits")
        devices, preferences, digest, (waiting, entries) = await asyncio.gather(
            self._devices.list(user_id),
            self._preferences.of_users((user_id,)),
            self._ledger.next_digest(user_id, object_id_seconds(message_id) * 1000),
            self._trace(user_id, message_id),
        )
        trace = Trace(waiting, entries, digest)
        return explain(trace, devices, preferences.get(user_id, Preferences()))

    async def _trace(self, user_id: str, message_id: str) -> tuple[Waiting, list[LedgerEntry]]:
        # In the order that a message goes through them: what moves on meanwhile is met further down.
        waiting = Waiting.NOTHING
        if await self._inboxes.is_waiting(user_id, message_id):
            waiting = Waiting.DECISION
        elif await self._deliveries.is_waiting(user_id, message_id):
            waiting = Waiting.DELIVERY
        return waiting, await self._ledger.find(user_id, message_id, _MOST_ENTRIES)
