"""An edge says which of its connections still live."""

from collections.abc import Sequence

from chat_service.domain.model import Session
from chat_service.ports.sessions import EdgeLeases, Presence
from chat_service.use_cases.announcer import Announcer
from chat_service.use_cases.revocation_check import RevocationCheck


class RenewSessions:
    """An edge says which of its connections still live."""

    def __init__(
        self, presence: Presence, leases: EdgeLeases, revoked: RevocationCheck, announcer: Announcer
    ) -> None:
        self._presence = presence
        self._leases = leases
        self._revoked = revoked
        self._announcer = announcer

    async def __call__(self, sessions: Sequence[Session], edge_id: str = "") -> tuple[list[Session], bool]:
        """Those that were revoked and must end, and whether the edge is to renew all that it holds.

        Users whom Redis had forgotten are online again.

        Raises:
            Unavailable: Redis is down.
        """
        renew_all = bool(edge_id) and not await self._leases.keep(edge_id)
        if not sessions:
            return [], renew_all
        # Without the store, presence is worth more: the next renewal asks again.
        verdicts = await self._revoked.of(sessions, best_effort=True)
        judged = list(zip(sessions, verdicts, strict=True))
        kept = [session for session, must_end in judged if not must_end]
        for user_id in await self._presence.renew(kept) if kept else ():
            await self._announcer.announce(user_id, online=True)
        return [session for session, must_end in judged if must_end], renew_all
