"""Ending sessions of a user."""

from chat_service.domain import rules
from chat_service.domain.events import SessionsRevoked
from chat_service.domain.model import Session
from chat_service.ports.sessions import Presence, Revocations, UserChannels
from chat_service.ports.store import Store
from mesh.clock import now_ms


class RevokeSessions:
    """One session, or all and the tokens they came with."""

    def __init__(
        self, presence: Presence, revocations: Revocations, channels: UserChannels, store: Store
    ) -> None:
        self._presence = presence
        self._revocations = revocations
        self._channels = channels
        self._store = store

    async def __call__(self, user_id: str, connection_id: str) -> int:
        """How many live sessions were known to end; an empty ``connection_id`` means all.

        Redis and the edges learn it first, so that it holds at once; the store makes it last.

        Raises:
            InvalidArgument: a field breaks its rule.
            Unavailable: Redis or the store is down; it may hold for an hour only, until a repeat succeeds.
        """
        rules.check_user_id(user_id, "userId")
        rules.check_connection_id(connection_id)
        live = await self._presence.sessions(user_id)
        if connection_id:
            await self._revocations.end_connection(Session(user_id, connection_id))
            await self._channels.publish({user_id: SessionsRevoked(connection_id, 0)})
            return live.count(connection_id)
        before_ms = await self._revocations.revoke_tokens(user_id, now_ms())
        await self._channels.publish({user_id: SessionsRevoked("", before_ms)})
        await self._store.revoke_tokens(user_id, before_ms)
        return len(live)
