"""A user connects."""

from dataclasses import replace

from chat_service.domain import rules
from chat_service.domain.model import Membership, Role, Session
from chat_service.ports.log import ChatLog
from chat_service.ports.sessions import Presence
from chat_service.ports.store import Store
from chat_service.use_cases.announcer import CHATS_PER_USER, Announcer
from chat_service.use_cases.revocation_check import RevocationCheck
from contract.names import display_name


class OpenSession:
    """A user connects."""

    def __init__(
        self, presence: Presence, revoked: RevocationCheck, log: ChatLog, store: Store, announcer: Announcer
    ) -> None:
        self._presence = presence
        self._revoked = revoked
        self._log = log
        self._store = store
        self._announcer = announcer

    async def __call__(self, session: Session, user_name: str) -> tuple[list[str], str]:
        """Ids of the user's chats, at most ``CHATS_PER_USER``, and where the list goes on; empty: nowhere.

        Raises:
            InvalidArgument: a field breaks its rule.
            Unauthenticated: SESSION_REVOKED.
            ResourceExhausted: TOO_MANY_CONNECTIONS.
            Unavailable: Redis or the store is down.
        """
        rules.check_user_id(session.user_id, "userId")
        revoked_before_ms = await self._store.upsert_user(session.user_id, display_name(user_name))
        if session.token_issued_at_ms < revoked_before_ms:
            raise rules.session_revoked()
        listed = await self._store.list_chats(session.user_id, CHATS_PER_USER)
        # As late as can be, for what happens from here on is published on the user's channel.
        if (await self._revoked.of([session]))[0]:
            raise rules.session_revoked()
        came = await self._presence.open(replace(session, partial=bool(listed.next_cursor)))
        # What the list tells anyway saves the join that follows its questions to the store.
        await self._log.remember(
            session.user_id,
            {
                item.chat_id: Membership(item.role, item.read)
                for item in listed.chats
                if item.role is not Role.NONE
            },
        )
        if came:
            await self._announcer.announce_in(session.user_id, listed.chats, online=True)
        return [item.chat_id for item in listed.chats], listed.next_cursor
