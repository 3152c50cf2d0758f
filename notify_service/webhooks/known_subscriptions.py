"""The subscriptions as this process knows them: read again when they are a few seconds old."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from notify_service.webhooks.ports import SubscriptionStore
from notify_service.webhooks.subscription import Subscription

MAX_AGE_SECONDS: Final = 2.0


class KnownSubscriptions:
    """Reads them for every event without asking the store for every event."""

    def __init__(
        self,
        store: SubscriptionStore,
        *,
        max_age_seconds: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._max_age = max_age_seconds
        self._clock = clock
        self._known: Mapping[str, Subscription] = {}
        self._good_until = -1.0
        self._reading: asyncio.Task[Mapping[str, Subscription]] | None = None

    async def all(self) -> Mapping[str, Subscription]:
        """By their ids; at most `max_age_seconds` behind what another process changed, never behind this one.

        Raises:
            Unavailable: they are too old, and MongoDB cannot be reached.
        """
        if self._clock() < self._good_until:
            return self._known
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="read subscriptions")
            self._reading.add_done_callback(_was_seen)
        # One who stops waiting must not take the answer from the others.
        return await asyncio.shield(self._reading)

    async def find(self, subscription_id: str) -> Subscription | None:
        """One of them; the store is asked before it is said that there is none, for it may be new.

        Raises:
            Unavailable: as `all` does.
        """
        known = await self.all()
        if subscription_id not in known:
            self.forget()
            known = await self.all()
        return known.get(subscription_id)

    def forget(self) -> None:
        """Something may have changed."""
        self._reading = None
        self._good_until = -1.0

    async def _read(self) -> Mapping[str, Subscription]:
        # The age counts from the question on; what was asked before a change is for those who asked with it.
        asked_at, this = self._clock(), asyncio.current_task()
        try:
            found = {subscription.id: subscription for subscription in await self._store.list()}
            if self._reading is this:
                self._known, self._good_until = found, asked_at + self._max_age
            return found
        finally:
            if self._reading is this:
                self._reading = None


def _was_seen(reading: asyncio.Task[Mapping[str, Subscription]]) -> None:
    # Nobody may be left who waits for a failure.
    if not reading.cancelled():
        reading.exception()
