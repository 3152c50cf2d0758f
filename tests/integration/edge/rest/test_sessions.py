"""Where a user is connected, the end of it, and tokens that were revoked."""

import asyncio

import pytest

from mesh.errors import unavailable
from parley.chat.v1 import chat_service_pb2 as pb
from tests.integration.edge.rest.api import Api, error_of
from tests.integration.edge.rest.conftest import ScriptedChat, token_for

CONNECTION = "e" * 24


async def test_sessions_are_listed_and_ended_one_or_all(api: Api, chat: ScriptedChat) -> None:
    chat.answers |= {
        "ListSessions": pb.ListSessionsResponse(connection_ids=[CONNECTION]),
        "RevokeSessions": pb.RevokeSessionsResponse(revoked=1),
    }
    assert (await api.call("listSessions")).json() == {"sessions": [{"connectionId": CONNECTION}]}
    assert (await api.call("revokeSession", connectionId=CONNECTION)).status_code == 204
    assert (await api.call("revokeSessions")).status_code == 204
    assert chat.requests == [
        pb.ListSessionsRequest(user_id="ada"),
        pb.RevokeSessionsRequest(user_id="ada", connection_id=CONNECTION),
        pb.RevokeSessionsRequest(user_id="ada"),
    ]


async def test_what_is_no_connection_is_refused(api: Api, chat: ScriptedChat) -> None:
    response = await api.call("revokeSession", connectionId="x")
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert chat.requests == []


async def test_a_revoked_token_is_refused_once_its_answer_is_old(api: Api, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = pb.ListChatsResponse()
    assert (await api.call("listChats")).status_code == 200
    chat.answers["CheckRevocation"] = pb.CheckRevocationResponse(revoked=True)
    async with asyncio.timeout(
        30
    ):  # how old it may be is held by a test of `Revocations`, with a clock of its own
        while (response := await api.call("listChats")).status_code == 200:
            await asyncio.sleep(0.02)
    assert error_of(response) == (401, "SESSION_REVOKED", False)
    # Once known it stays known, also when nobody can be asked; a newer token is another matter.
    chat.answers["CheckRevocation"] = unavailable("redis")
    assert error_of(await api.call("listChats"))[1] == "SESSION_REVOKED"
    chat.answers["CheckRevocation"] = pb.CheckRevocationResponse()
    assert (await api.call("listChats", token=token_for("ada", iat=1_700_000_000))).status_code == 200


async def test_an_outage_locks_nobody_out_at_once(api: Api, chat: ScriptedChat) -> None:
    chat.answers |= {"ListChats": pb.ListChatsResponse(), "CheckRevocation": unavailable("redis")}
    assert (await api.call("listChats")).status_code == 200


@pytest.mark.parametrize("issued", ["soon", [1], {}])
async def test_a_strange_time_of_issue_is_no_good_token(api: Api, issued: object) -> None:
    response = await api.call("listChats", token=token_for("ada", iat=issued))
    assert error_of(response) == (401, "INVALID_TOKEN", False)
