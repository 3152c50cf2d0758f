"""Collection `preferences`: `_id` is the user's id; `enabled`, `mutedChatIds`, `showPreview`."""

from collections.abc import Collection, Mapping

from notify_service.adapters.mongo.database import Database, reachable
from notify_service.domain.preferences import Preferences


class MongoPreferenceStore:
    """A `PreferenceStore`."""

    def __init__(self, database: Database) -> None:
        self._preferences = database["preferences"]

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Preferences]:
        """The preferences of several users, in one round trip."""
        with reachable():
            return {
                document["_id"]: Preferences(
                    enabled=document["enabled"],
                    muted_chat_ids=frozenset(document["mutedChatIds"]),
                    show_preview=document["showPreview"],
                )
                async for document in self._preferences.find({"_id": {"$in": list(user_ids)}})
            }

    async def replace(self, user_id: str, preferences: Preferences) -> None:
        """Stores the preferences."""
        document = {
            "enabled": preferences.enabled,
            "mutedChatIds": sorted(preferences.muted_chat_ids),
            "showPreview": preferences.show_preview,
        }
        with reachable():
            await self._preferences.replace_one({"_id": user_id}, document, upsert=True)
