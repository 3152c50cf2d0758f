"""Every way in which a request is refused, in one shape."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.user_ids import is_user_id
from edge.rest.errors import MAX_HEAD_BYTES, MAX_HEADER_BYTES, MAX_URL_BYTES, STATUS_OF
from edge.rest.operation import Access
from mesh.errors import CATEGORY_OF, error_for
from mesh.ids import is_object_id
from mesh.rpc.channel import open_channel
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.edge.rest.api import OPERATIONS, Api, error_of
from tests.integration.edge.rest.conftest import MAX_BODY, SERVICE_SECRET, token_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge.rest import RestDeps
    from tests.integration.edge.rest.conftest import ScriptedChat, Serve

CHAT_ID = "6561a0b1c2d3e4f506172839"
_SENDABLE = st.characters(codec="utf-8")
PRIVATE = [name for name, (_, operation) in OPERATIONS.items() if operation.access is not Access.PUBLIC]


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "INVALID_TOKEN"),
        ("garbage", "INVALID_TOKEN"),
        (token_for("ada", aud="other"), "INVALID_TOKEN"),
        (token_for("ada", exp=int(time.time()) - 60), "TOKEN_EXPIRED"),
    ],
    ids=["none", "garbage", "audience", "expired"],
)
async def test_nothing_is_done_without_a_good_token(
    api: Api, chat: ScriptedChat, name: str, token: str, code: str
) -> None:
    _, operation = OPERATIONS[name]
    path = {parameter.name: CHAT_ID for parameter in operation.parameters if parameter.in_path}
    response = await api.call(name, token=token, **path)
    assert error_of(response) == (401, code, False)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert chat.requests == []


async def test_the_query_string_is_no_place_for_a_token(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/chats", params={"token": token_for("ada")})
    assert error_of(response) == (401, "INVALID_TOKEN", False)


@pytest.mark.parametrize("reason", list(CATEGORY_OF), ids=ErrorReason.Name)
async def test_what_chat_service_refuses(
    client: httpx.AsyncClient, chat: ScriptedChat, reason: ErrorReason.ValueType
) -> None:
    refusal = error_for(reason, "the reason in words", retry_after_ms=1500)
    chat.answers["GetChat"] = refusal
    response = await client.get(
        f"/api/v1/chats/{CHAT_ID}", headers={"Authorization": f"Bearer {token_for('ada')}"}
    )
    if reason in {
        ErrorReason.ERROR_REASON_INVALID_TOKEN,
        ErrorReason.ERROR_REASON_TOKEN_EXPIRED,
        ErrorReason.ERROR_REASON_PERMISSION_DENIED,
    }:
        # The user's token was good: chat_service speaks of the edge's own, or of its access table.
        assert error_of(response) == (503, "UNAVAILABLE", True)
        assert "the reason in words" not in response.text
        return
    if STATUS_OF[reason] == 401:
        # The user's token was good: the edge's own was refused, which is no fault of the client.
        assert error_of(response) == (500, "INTERNAL", False)
        return
    assert response.status_code == STATUS_OF[reason]
    assert response.json() == {
        "error": {
            "code": refusal.code,
            "message": "the reason in words",
            "retryable": refusal.retryable,
            "retryAfterMs": 1500,
        }
    }
    assert response.headers["Retry-After"] == "2"


async def test_a_defect_is_told_by_its_id_only(api: Api, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = RuntimeError("a detail")
    response = await api.call("listChats")
    assert error_of(response) == (500, "INTERNAL", False)
    assert "a detail" not in response.text


async def test_a_defect_of_the_edge_is_told_by_the_request(
    client: httpx.AsyncClient, chat: ScriptedChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("a detail")

    chat.answers["GetChat"] = RuntimeError("never asked")
    monkeypatch.setattr("edge.rest.chats.GetChatRequest", broken)
    headers = {"Authorization": f"Bearer {token_for('ada')}", "X-Request-Id": "mine-1"}
    response = await client.get(f"/api/v1/chats/{CHAT_ID}", headers=headers)
    assert error_of(response) == (500, "INTERNAL", False)
    assert response.json()["error"]["message"] == "internal error; request mine-1"


async def test_chat_service_is_down(deps: RestDeps, serve: Serve) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        target = f"127.0.0.1:{unused.getsockname()[1]}"
        async with (
            open_channel(target, caller="edge", callee="chat", secret=SERVICE_SECRET) as channel,
            httpx.AsyncClient(base_url=serve(replace(deps, chat=ChatServiceStub(channel)))) as client,
        ):
            response = await Api(client, token_for("ada")).call("listChats")
    assert error_of(response) == (503, "UNAVAILABLE", True)
    assert "chat" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (b"", "MALFORMED_FRAME", "JSON"),
        (b"{", "MALFORMED_FRAME", "JSON"),
        (b"userId=bob", "MALFORMED_FRAME", "JSON"),
        (b'{"userId":"\xff"}', "MALFORMED_FRAME", "JSON"),
        (
            b'{"userId":"\\ud800"}',
            "INVALID_ARGUMENT",
            "userId: holds half of a character (a lone UTF-16 surrogate)",
        ),
        (b'{"a":' + b"[" * 3000, "INVALID_ARGUMENT", "`a`"),
        (b"[]", "INVALID_ARGUMENT", "object"),
        (b"{}", "INVALID_ARGUMENT", "userId"),
        (b'{"userId":7}', "INVALID_ARGUMENT", "userId"),
        (b'{"userId":null}', "INVALID_ARGUMENT", "userId"),
        (b'{"userId":""}', "INVALID_ARGUMENT", "userId"),
        (b'{"userId":"a\\u0000b"}', "INVALID_ARGUMENT", "control"),
        (json.dumps({"userId": "x" * 129}).encode(), "INVALID_ARGUMENT", "userId"),
        (b'{"userId":"bob","userid":"eve"}', "INVALID_ARGUMENT", "userid"),
    ],
)
async def test_a_wrong_body(api: Api, chat: ScriptedChat, body: bytes, code: str, told: str) -> None:
    response = await api.call("createChat", body)
    assert error_of(response) == (400, code, False)
    assert told in response.json()["error"]["message"]
    assert chat.requests == []


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("createGroup", {}, "name"),
        ("createGroup", {"name": ""}, "name"),
        ("createGroup", {"name": "n" * 101}, "name"),
        ("createGroup", {"name": "n", "description": "d" * 1001}, "description"),
        ("createGroup", {"name": "n", "memberIds": ["x"] * 101}, "memberIds"),
        ("createGroup", {"name": "n", "memberIds": ["a\nb"]}, "control"),
        ("createGroup", {"name": "n", "memberIDs": ["bob"]}, "memberIDs"),
        ("createGroup", {"name": "n", "settings": {"isPublic": "yes"}}, "settings.isPublic"),
        ("createGroup", {"name": "n", "avatar": "a" * 501}, "avatar"),
        ("addMembers", {"userIds": []}, "userIds"),
        ("addMembers", {"userIds": "bob"}, "userIds"),
    ],
)
async def test_a_wrong_field(api: Api, chat: ScriptedChat, name: str, body: object, told: str) -> None:
    response = await api.call(name, body, chatId=CHAT_ID)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert told in response.json()["error"]["message"]
    assert chat.requests == []


@pytest.mark.parametrize("name", ["getChat", "listMessages", "leaveChat", "removeMember"])
@pytest.mark.parametrize("chat_id", ["x", CHAT_ID.upper(), CHAT_ID + "0", "%00", quote("ü")])
async def test_a_wrong_chat_id(api: Api, chat: ScriptedChat, name: str, chat_id: str) -> None:
    response = await api.call(name, chatId=chat_id, userId="bob")
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert chat.requests == []


async def test_a_url_that_is_too_long(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/chats/" + "x" * MAX_URL_BYTES, "/healthz?x=" + "y" * MAX_URL_BYTES):
        response = await client.get(path)
        assert error_of(response) == (414, "TOO_LARGE", False)
        assert str(MAX_URL_BYTES) in response.json()["error"]["message"]
    assert (await client.get("/healthz?x=" + "y" * (MAX_URL_BYTES - 12))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Filler", "x" * MAX_HEADER_BYTES)],
        [(f"X-Filler-{number}", "x") for number in range(1000)],
        [("X-Filler", "x")] * 2000,
        [("Cookie", "x" * MAX_HEADER_BYTES)],
    ],
    ids=["one long", "many short", "one name many times", "cookies"],
)
async def test_headers_that_are_too_long(client: httpx.AsyncClient, headers: list[tuple[str, str]]) -> None:
    response = await client.get("/healthz", headers=headers)
    assert error_of(response) == (431, "TOO_LARGE", False)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert (await client.get("/healthz")).status_code == 200


async def test_immense_headers_are_not_read(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.TransportError):
        await client.get("/healthz", headers={"X-Filler": "x" * 2 * MAX_HEAD_BYTES})
    assert (await client.get("/healthz")).status_code == 200


_BEHIND = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n",
        b"Content-Length: 0, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: -1\r\n",
        "Content-Length: ²\r\n".encode(),
        b"Content-Length: \xb2\r\n",
        b"Content-Length: " + b"5" * 4301 + b"\r\n",
        b"Content-Length: " + b"0" * 4301 + b"\r\n",
        b"Transfer-Encoding: identity, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length : 5\r\n",
        b"X-A: b\rContent-Length: 5\r\n",
        b"X-A: b\x00c\r\n",
        b"Host: b\r\n",
    ],
)
async def test_what_two_servers_could_read_differently_ends_the_connection(
    client: httpx.AsyncClient, head: bytes
) -> None:
    """Request smuggling (RFC 9112 section 11.2): nothing behind such a request is read as a second one."""

    async def answers(head: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"OPTIONS /api/v1/chats HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n" + _BEHIND)
        async with asyncio.timeout(30):
            read = await reader.read()
        writer.close()
        return read

    assert b"alive" in await answers(b"Content-Length: 0\r\n"), "a clear request has another behind it"
    refused = await answers(head)
    assert b"alive" not in refused
    told, _, body = refused.partition(b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 40")
    assert json.loads(body)["error"]["code"] in {"MALFORMED_FRAME", "INVALID_TOKEN"}


@pytest.mark.parametrize("sent", [b"\r\n", b"", b"GET\r\n", b"GET /healthz HTTP/1.1\r\nno colon\r\n"])
async def test_what_is_no_http_is_told_so_like_any_error(client: httpx.AsyncClient, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"nonsense" + sent + b"\r\n")
    if not sent:
        writer.write(b"\r\n")
    async with asyncio.timeout(30):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *headers = head.lower().split(b"\r\n")
    assert status == b"http/1.1 400 bad request"
    for header in (
        b"connection: close",
        b"x-content-type-options: nosniff",
        b"content-length: %d" % len(body),
    ):
        assert header in headers
    assert json.loads(body)["error"]["code"] == "MALFORMED_FRAME"


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/chats", "/nothing"])
@pytest.mark.parametrize("length", [b"\xb2", b"\xd9\xa5", b"", b"1_0", b"+1", b"1e2", b"9" * 4301])
async def test_a_length_that_is_no_number_is_the_clients_mistake(
    client: httpx.AsyncClient, path: str, length: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token_for('ada')}\r\n".encode()
    writer.write(head + b"Content-Length: " + length + b"\r\n\r\n")
    async with asyncio.timeout(30):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "MALFORMED_FRAME"


async def test_a_path_that_is_not_utf_8(api: Api, chat: ScriptedChat) -> None:
    response = await api.call("removeMember", chatId=CHAT_ID, userId="%FF")
    assert error_of(response) == (400, "MALFORMED_FRAME", False)
    assert chat.requests == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=",
        "limit=%2B5",
        "limit=%D9%A5",
        "limit=1_0",
        "before=0",
        "before=9007199254740992",
        "before=" + "9" * 5000,
        "page=0",
        "page=1001",
        "page=1&before=5",
    ],
)
async def test_a_wrong_page(api: Api, chat: ScriptedChat, query: str) -> None:
    response = await api.call("listMessages", chatId=CHAT_ID, query="?" + query)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert chat.requests == []


async def test_an_announced_body_over_the_limit(api: Api, chat: ScriptedChat) -> None:
    response = await api.call("createGroup", {"name": "n", "description": "d" * MAX_BODY})
    assert error_of(response) == (413, "TOO_LARGE", False)
    assert chat.requests == []


async def test_an_unannounced_body_over_the_limit(client: httpx.AsyncClient, chat: ScriptedChat) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    headers = {"Authorization": f"Bearer {token_for('ada')}"}
    response = await client.post("/api/v1/chats", content=unannounced(), headers=headers)
    assert error_of(response) == (413, "TOO_LARGE", False)
    assert chat.requests == []


@pytest.mark.parametrize("framing", ["Content-Length: 9999999", "Transfer-Encoding: chunked"])
async def test_an_immense_body_is_not_waited_for(
    client: httpx.AsyncClient, chat: ScriptedChat, framing: str
) -> None:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = f"POST /api/v1/chats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token_for('ada')}\r\n{framing}"
    writer.write(f"{head}\r\n\r\n".encode())
    if "chunked" in framing:
        writer.write(b"110000\r\n" + b"x" * 0x100001)  # a byte over what is read to its end, and no end
    status = await reader.readline()
    assert status.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"TOO_LARGE"' in await reader.read()
    writer.close()
    assert chat.requests == []


async def test_the_server_goes_on_after_a_refused_body(api: Api, chat: ScriptedChat) -> None:
    big = {"name": "n", "description": "d" * 200_000}
    assert (await api.call("createGroup", big)).status_code == 413
    chat.answers["ListChats"] = pb.ListChatsResponse()
    assert (await api.call("listChats")).status_code == 200


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v2/chats", "/api/v1/chats/", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path, content=b"x" * 10)
    assert error_of(response) == (404, "NOT_FOUND", False)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/chats", "GET, HEAD, POST, OPTIONS"),
        ("PATCH", "/api/v1/groups", "POST, OPTIONS"),
        ("HEAD", "/api/v1/groups", "POST, OPTIONS"),
        ("BREW", f"/api/v1/chats/{CHAT_ID}", "GET, HEAD, OPTIONS"),
    ],
)
async def test_an_unknown_method(client: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["Allow"] == allowed
    if method != "HEAD":
        assert error_of(response) == (405, "METHOD_NOT_ALLOWED", False)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chat_id=st.just(CHAT_ID) | st.text(_SENDABLE, min_size=1, max_size=40),
    member=st.text(_SENDABLE, min_size=1, max_size=140),
)
async def test_any_id_ends_in_an_answer(api: Api, chat: ScriptedChat, chat_id: str, member: str) -> None:
    chat.answers["RemoveMember"] = pb.RemoveMemberResponse()
    response = await api.call("removeMember", chatId=in_path(chat_id), userId=in_path(member))
    assert response.status_code == (204 if is_object_id(chat_id) and is_user_id(member) else 400)


def in_path(text: str) -> str:
    """Percent-encoded, dots too: clients resolve `.` and `..` themselves."""
    return quote(text, safe="").replace(".", "%2E")
