"""An edge says which of its connections still live."""

from collections.abc import Sequence

from chat_service.domain.model import Session
from chat_service.ports import Presence
from chat_service.use_cases.announcer import Announcer
from chat_service.use_cases.revoked import Revoked


class RenewSessions:
    """An edge says which of its connections still live."""

    def __init__(self, presence: Presence, revoked: Revoked, announcer: Announcer) -> None:
        self._presence = presence
        self._revoked = revoked
        self._announcer = announcer

    async def __call__(self, sessions: Sequence[Session]) -> list[Session]:
        """Those that were revoked and must end. Users whom Redis had forgotten are online again.

        Raises:
            Unavailable: Redis is down.
        """
        # Without the store, presence is worth more: the next renewal asks again.
        verdicts = await self._revoked.of(sessions, best_effort=True)
        judged = list(zip(sessions, verdicts, strict=True))
        kept = [session for session, must_end in judged if not must_end]
        for user_id in await self._presence.renew(kept) if kept else ():
            await self._announcer.announce(user_id, online=True)
        return [session for session, must_end in judged if must_end]
