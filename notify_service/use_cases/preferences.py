"""The preferences of a user."""

from notify_service.domain.limits import invalid, require_user_id
from notify_service.domain.preferences import MAX_MUTED_CHATS, Preferences
from notify_service.ports import PreferenceStore


class UserPreferences:
    """Shows and replaces preferences. Both methods raise `Unavailable` while MongoDB is away."""

    def __init__(self, store: PreferenceStore) -> None:
        self._store = store

    async def get(self, user_id: str) -> Preferences:
        """The user's preferences; the defaults when none were set.

        Raises:
            InvalidArgument: the user id breaks its limit.
        """
        require_user_id(user_id)
        return (await self._store.of_users((user_id,))).get(user_id, Preferences())

    async def set(self, user_id: str, preferences: Preferences) -> None:
        """Replaces them all.

        Raises:
            InvalidArgument: the user id breaks its limit, or too many chats are muted.
        """
        require_user_id(user_id)
        if len(preferences.muted_chat_ids) > MAX_MUTED_CHATS:
            raise invalid(f"preferences.muted_chat_ids: at most {MAX_MUTED_CHATS} chats")
        await self._store.replace(user_id, preferences)
