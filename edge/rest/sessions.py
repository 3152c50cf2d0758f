"""``/sessions``: where the user is connected, and the end of it."""

from edge.rest.bodies import SessionJson, SessionsAnswer
from edge.rest.handler import RestHandler
from edge.rest.parameters import connection_id
from parley.chat.v1.chat_service_pb2 import ListSessionsRequest, RevokeSessionsRequest


class SessionsHandler(RestHandler):
    """``/sessions``."""

    async def get(self) -> None:
        """The user's live connections, on all edges."""
        found = await self.deps.chat.ListSessions(ListSessionsRequest(user_id=self.user_id))
        sessions = [SessionJson(connection_id=connection) for connection in found.connection_ids]
        self.answer(SessionsAnswer(sessions=sessions))

    async def delete(self) -> None:
        """Ends all of them, and refuses every token issued so far."""
        await self.deps.chat.RevokeSessions(RevokeSessionsRequest(user_id=self.user_id))
        self.answer_nothing()


class SessionHandler(RestHandler):
    """``/sessions/{connectionId}``."""

    async def delete(self, connection: str) -> None:
        """Ends one; one that is over already is left as is."""
        await self.deps.chat.RevokeSessions(
            RevokeSessionsRequest(user_id=self.user_id, connection_id=connection_id(connection))
        )
        self.answer_nothing()
