"""The subscriptions as this process knows them: read again when they are a few seconds old."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from notify_service.domain.subscription import Subscription
from notify_service.hook_ports import SubscriptionStore

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
        self._changes = 0
        self._reading = asyncio.Lock()

    async def all(self) -> Mapping[str, Subscription]:
        """By their ids; at most `max_age_seconds` behind what another process changed, never behind this one.

        Raises:
            Unavailable: they are too old, and MongoDB cannot be reached.
        """
        async with self._reading:
            while self._clock() >= self._good_until:
                await self._read()
            return self._known

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
        self._changes += 1
        self._good_until = -1.0

    async def _read(self) -> None:
        # From before the question on, so that the age counts; and not at all if there was a change meanwhile.
        changes, asked_at = self._changes, self._clock()
        self._known = {found.id: found for found in await self._store.list()}
        if changes == self._changes:
            self._good_until = asked_at + self._max_age
