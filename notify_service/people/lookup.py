"""Looks up the preferences and devices of many users."""

import asyncio
from collections.abc import Collection, Mapping

from notify_service.domain.person import Person
from notify_service.domain.preferences import Preferences
from notify_service.ports import DeviceStore, PreferenceStore


class People:
    """Knows everybody: who never said anything has the defaults."""

    def __init__(self, devices: DeviceStore, preferences: PreferenceStore) -> None:
        self._devices = devices
        self._preferences = preferences

    async def find(self, user_ids: Collection[str]) -> Mapping[str, Person]:
        """All of them by their ids, in two round trips at the same time.

        Raises:
            Unavailable: MongoDB cannot be reached.
        """
        if not user_ids:
            return {}
        preferences, devices = await asyncio.gather(
            self._preferences.of_users(user_ids), self._devices.of_users(user_ids)
        )
        return {
            user_id: Person(user_id, preferences.get(user_id, Preferences()), devices.get(user_id, ()))
            for user_id in user_ids
        }
