"""``/sessions``: where the user is connected, and the end of it."""

from http import HTTPStatus
from typing import Final

from edge.rest.bodies import SessionJson, SessionsAnswer
from edge.rest.handler import RestHandler
from edge.rest.operation import Operation, Parameter
from edge.rest.parameters import OBJECT_ID
from parley.chat.v1.chat_service_pb2 import ListSessionsRequest, RevokeSessionsRequest

_CONNECTION: Final = Parameter("connectionId", "The connection.", OBJECT_ID, in_path=True)


class SessionsHandler(RestHandler):
    """The user's live connections, on all edges."""

    path = "/api/v1/sessions"
    operations = (
        Operation(
            method="GET",
            name="listSessions",
            summary="The user's live connections, on all edges",
            answers={HTTPStatus.OK: SessionsAnswer},
        ),
        Operation(
            method="DELETE",
            name="revokeSessions",
            summary="End all live connections, and refuse every token issued so far, the one used here "
            "included",
            answers={HTTPStatus.NO_CONTENT: None},
        ),
    )

    async def get(self) -> None:
        """Lists the connections."""
        found = await self.deps.chat.ListSessions(ListSessionsRequest(user_id=self.user_id))
        sessions = [SessionJson(connection_id=connection) for connection in found.connection_ids]
        self.answer(SessionsAnswer(sessions=sessions))

    async def delete(self) -> None:
        """Ends all of them, and refuses every token issued so far."""
        await self.deps.chat.RevokeSessions(RevokeSessionsRequest(user_id=self.user_id))
        self.answer_nothing()


class SessionHandler(RestHandler):
    """One live connection."""

    path = "/api/v1/sessions/{connectionId}"
    operations = (
        Operation(
            method="DELETE",
            name="revokeSession",
            summary="End one live connection; its token stays good",
            parameters=(_CONNECTION,),
            answers={HTTPStatus.NO_CONTENT: None},
        ),
    )

    async def delete(self) -> None:
        """Ends it; one that is over already is left as is."""
        await self.deps.chat.RevokeSessions(
            RevokeSessionsRequest(user_id=self.user_id, connection_id=self.value(_CONNECTION))
        )
        self.answer_nothing()
