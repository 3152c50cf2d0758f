"""An edge says which of its connections still live."""

from collections.abc import Sequence

from chat_service.domain.model import Session
from chat_service.ports import Presence
from chat_service.use_cases.announcer import Announcer


class RenewSessions:
    """An edge says which of its connections still live."""

    def __init__(self, presence: Presence, announcer: Announcer) -> None:
        self._presence = presence
        self._announcer = announcer

    async def __call__(self, sessions: Sequence[Session]) -> None:
        """Users whom Redis had forgotten are online again.

        Raises:
            Unavailable: Redis is down.
        """
        for user_id in await self._presence.renew(sessions):
            await self._announcer.announce(user_id, online=True)
