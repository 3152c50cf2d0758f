"""Whether sessions were revoked: asked of Redis, and of the store for what Redis does not know."""

from collections.abc import Sequence

from chat_service.domain.model import Session
from chat_service.ports.sessions import Revocations
from chat_service.ports.store import Store
from mesh.errors import Unavailable


class RevocationCheck:
    """Shared by the use cases that let sessions in or keep them."""

    def __init__(self, revocations: Revocations, store: Store) -> None:
        self._revocations = revocations
        self._store = store

    async def of(self, sessions: Sequence[Session], *, best_effort: bool = False) -> list[bool]:
        """Whether each session must end. One round trip when Redis knows of all users.

        ``best_effort`` takes what Redis knows for the truth while the store is down.

        Raises:
            Unavailable: Redis is down; the store is, and Redis does not know of every user.
        """
        known = await self._revocations.known(sessions)
        cache_misses = list(
            {s.user_id for s, fact in zip(sessions, known, strict=True) if fact.before_ms is None}
        )
        if cache_misses:
            try:
                stored = await self._store.revocations(cache_misses)
            except Unavailable:
                if not best_effort:
                    raise
            else:
                await self._revocations.remember(stored)
                known = await self._revocations.known(sessions)
        return [fact.hits(session.token_issued_at_ms) for session, fact in zip(sessions, known, strict=True)]
