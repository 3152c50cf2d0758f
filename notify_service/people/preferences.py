"""The preferences of a user."""

from dataclasses import replace

from contract import limits
from mesh.clock import now_ms
from notify_service.domain.limits import invalid, require_user_id
from notify_service.domain.preferences import (
    MutedChat,
    Preferences,
    check_muted_chat,
    check_preferences,
    require_chat_id,
)
from notify_service.ports import PreferenceStore


class UserPreferences:
    """Shows and changes preferences. Every method raises `Unavailable` while MongoDB is away."""

    def __init__(self, store: PreferenceStore) -> None:
        self._store = store

    async def get(self, user_id: str) -> Preferences:
        """The user's preferences without mutings that are over; the defaults when none were set.

        Raises:
            InvalidArgument: the user id breaks its limit.
        """
        require_user_id(user_id)
        stored = (await self._store.of_users((user_id,))).get(user_id, Preferences())
        return stored.without_ended(now_ms())

    async def set(self, user_id: str, preferences: Preferences) -> Preferences:
        """Replaces them all; gives what is stored. Of a chat that is muted twice the last counts.

        Raises:
            InvalidArgument: a field breaks its limit.
        """
        require_user_id(user_id)
        by_chat = {chat.chat_id: chat for chat in preferences.muted_chats}
        wanted = replace(preferences, muted_chats=tuple(by_chat.values()))
        check_preferences(wanted)
        wanted = wanted.without_ended(now_ms())
        await self._store.replace(user_id, wanted)
        return wanted

    async def mute(self, user_id: str, chat: MutedChat) -> None:
        """Mutes one chat, or changes until when it is muted.

        Raises:
            InvalidArgument: a field breaks its limit, the end is over, or too many chats are muted already.
        """
        require_user_id(user_id)
        check_muted_chat("chat", chat)
        at_ms = now_ms()
        if not chat.is_muted(at_ms):
            raise invalid("chat.until_ms: is in the past")
        if not await self._store.mute(user_id, chat, keep=limits.MUTED_CHATS, at_ms=at_ms):
            raise invalid(f"chat: {limits.MUTED_CHATS} chats are muted already")

    async def unmute(self, user_id: str, chat_id: str) -> None:
        """Ends the muting of one chat; one that is not muted is left as is.

        Raises:
            InvalidArgument: an id breaks its limit.
        """
        require_user_id(user_id)
        require_chat_id("chat_id", chat_id)
        await self._store.unmute(user_id, chat_id)
