"""Headers, CORS, health, development tokens, the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from structlog.testing import capture_logs

from edge.addresses import TrustedProxies, parse_networks
from edge.protocol import asyncapi
from edge.rest import OriginPolicy
from edge.rest.handler import RestHandler
from edge.rest.operation import Access
from edge.rest.routes import HANDLERS
from mesh.errors import NotFound, unavailable
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.edge.rest.api import OPERATIONS, Api, error_of
from tests.integration.edge.rest.conftest import SECRET, token_for

if TYPE_CHECKING:
    from edge.identity.dev_tokens import DevTokens
    from edge.rest import RestDeps
    from tests.integration.edge.rest.conftest import ScriptedChat, ScriptedNotify, Serve

TOKEN = {"Authorization": f"Bearer {token_for('ada')}"}


async def test_headers_of_every_answer(client: httpx.AsyncClient, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = pb.ListChatsResponse()
    for response in (await client.get("/api/v1/chats", headers=TOKEN), await client.get("/api/none")):
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert len(response.headers["X-Request-Id"]) == 24
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "Server" not in response.headers
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_browsers_are_told_to_stay_with_tls(deps: RestDeps, serve: Serve) -> None:
    name = "Strict-Transport-Security"
    proxies = TrustedProxies(parse_networks(["127.0.0.0/8"]))
    async with httpx.AsyncClient(base_url=serve(replace(deps, proxies=proxies))) as client:
        for path in ("/healthz", "/api/v1/chats", "/none"):
            answer = await client.get(path, headers={"X-Forwarded-Proto": "https"})
            assert answer.headers[name] == "max-age=31536000"
            assert name not in (await client.get(path)).headers
    async with httpx.AsyncClient(base_url=serve(deps)) as client:
        answer = await client.get("/healthz", headers={"X-Forwarded-Proto": "https"})
        assert name not in answer.headers, "said by nobody who is believed"


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2:3", True), ("a b", False), ("x" * 65, False), ("", False)]
)
async def test_request_id(client: httpx.AsyncClient, sent: str, kept: bool) -> None:  # noqa: FBT001
    answered = (await client.get("/healthz", headers={"X-Request-Id": sent})).headers["X-Request-Id"]
    assert (answered == sent) is kept


async def test_the_log_keeps_no_query_string(client: httpx.AsyncClient, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = unavailable("redis")
    with capture_logs() as lines:
        assert (await client.get("/api/v1/chats?token=secret", headers=TOKEN)).status_code == 503
    (line,) = (line for line in lines if line["event"] == "http.request")
    assert (line["path"], line["status"], line["log_level"]) == ("/api/v1/chats", 503, "debug")
    assert "secret" not in str(lines)


async def test_a_page_of_an_allowed_origin(client: httpx.AsyncClient, chat: ScriptedChat) -> None:
    chat.answers["ListChats"] = pb.ListChatsResponse()
    headers = {**TOKEN, "Origin": "https://app.example"}
    for response in (
        await client.get("/api/v1/chats", headers=headers),
        await client.get("/api/v1/chats", headers={"Origin": "https://app.example"}),
        await client.get("/api/none", headers=headers),
    ):
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Origin" in response.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_a_preflight(client: httpx.AsyncClient, chat: ScriptedChat) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    response = await client.options("/api/v1/chats", headers=asked)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    assert chat.requests == []


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil",
        "null",
        "http://[",
        "http://localhost",
    ],
)
async def test_other_origins(client: httpx.AsyncClient, origin: str) -> None:
    response = await client.options("/api/v1/chats", headers={"Origin": origin})
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_localhost_in_development(deps: RestDeps, serve: Serve) -> None:
    url = serve(replace(deps, origins=OriginPolicy(localhost=True)))
    async with httpx.AsyncClient(base_url=url) as client:
        for origin in ("http://localhost:5173", "http://127.0.0.1:8000", "http://[::1]:3000"):
            response = await client.get("/healthz", headers={"Origin": origin})
            assert response.headers["Access-Control-Allow-Origin"] == origin
        response = await client.get("/healthz", headers={"Origin": "http://localhost.evil.example"})
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_health_and_readiness(api: Api, deps: RestDeps) -> None:
    assert (await api.call("getHealth")).json() == {"status": "alive"}
    response = await api.call("getReadiness")
    assert (response.status_code, response.json()) == (503, {"ready": False})
    await deps.readiness.poll()
    response = await api.call("getReadiness")
    assert (response.status_code, response.json()) == (200, {"ready": True})
    await deps.readiness.start_drain()
    assert (await api.call("getReadiness")).status_code == 503
    assert (await api.call("getHealth")).status_code == 200


@pytest.mark.parametrize(
    "path", [path for path, operation in OPERATIONS.values() if operation.method == "GET"]
)
async def test_head_is_get_without_the_body(
    client: httpx.AsyncClient, chat: ScriptedChat, notify: ScriptedNotify, path: str
) -> None:
    """On every path that has GET, with answers and with refusals."""
    refusal = NotFound(ErrorReason.ERROR_REASON_NOT_FOUND, "there is none")
    chat.answers = defaultdict(lambda: refusal, chat.answers, ListChats=pb.ListChatsResponse())
    notify.answers = defaultdict(lambda: refusal)
    headers = {"Authorization": f"Bearer {token_for('ada', scope='parley.operator')}", "X-Request-Id": "a"}
    path = re.sub(r"{\w+}", "c" * 24, path)
    got = await client.get(path, headers=headers)
    asked = await client.head(path, headers=headers)
    assert (asked.status_code, asked.content) == (got.status_code, b"")
    assert {**asked.headers, "date": ""} == {**got.headers, "date": ""}
    assert asked.headers["Content-Length"] == str(len(got.content))


async def test_a_console_of_this_origin_may_connect_in_development_and_is_nowhere_else(
    api: Api, deps: RestDeps, serve: Serve
) -> None:
    assert (await api.call("openDevConsole")).status_code == 404
    url = serve(replace(deps, origins=OriginPolicy(localhost=True)))
    async with httpx.AsyncClient(base_url=url) as client:
        page = await client.get("/api/v1/dev/console")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "connect-src 'self' ws: wss:"} <= set(policy)


async def test_no_development_token_in_production(api: Api) -> None:
    assert error_of(await api.call("createDevToken", {"userId": "ada"})) == (404, "NOT_FOUND", False)


async def test_a_development_token_works(
    deps: RestDeps, serve: Serve, chat: ScriptedChat, dev_tokens: DevTokens
) -> None:
    chat.answers["ListChats"] = pb.ListChatsResponse()
    async with httpx.AsyncClient(base_url=serve(replace(deps, dev_tokens=dev_tokens))) as client:
        made = (await Api(client, "").call("createDevToken", {"userId": "eve", "name": "Eve"})).json()
        assert made["expiresAt"].endswith("Z")
        assert jwt.decode(made["token"], SECRET, algorithms=["HS256"])["name"] == "Eve"
        assert (await Api(client, made["token"]).call("listChats")).status_code == 200
        assert chat.requests == [pb.ListChatsRequest(user_id="eve", limit=50)]
        assert "scope" not in jwt.decode(made["token"], SECRET, algorithms=["HS256"])
        wanted = {"userId": "eve", "scopes": ["openid", "parley.operator"]}
        made = (await Api(client, "").call("createDevToken", wanted)).json()
        claims = jwt.decode(made["token"], SECRET, algorithms=["HS256"])
        assert claims["scope"] == "openid parley.operator"
        refused = await Api(client, "").call("createDevToken", {"userId": "eve", "scopes": ["a b"]})
        assert error_of(refused) == (400, "INVALID_ARGUMENT", False)
        refused = await Api(client, "").call("createDevToken", {"userId": "", "name": "Eve"})
        assert error_of(refused) == (400, "INVALID_ARGUMENT", False)


async def test_the_document_names_what_is_served(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    documented = {path: {method.upper() for method in item} for path, item in document["paths"].items()}
    served = {handler.path: set(handler.methods()) - {"HEAD"} for handler in HANDLERS}
    assert documented == served
    assert len(OPERATIONS) == sum(map(len, served.values())), "no two operations have one name"


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_what_a_handler_declares_it_has(handler: type[RestHandler]) -> None:
    verbs = ("GET", "POST", "PUT", "PATCH", "DELETE")
    own = {verb for verb in verbs if getattr(handler, verb.lower()) is not getattr(RestHandler, verb.lower())}
    assert own == set(handler.methods()) - {"HEAD"}


async def test_the_document_says_what_a_repeat_may_change(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert {operation["operationId"] for operation in operations if not operation["x-idempotent"]} == {
        "createGroup",
        "createWebhook",
        "rotateWebhookSecret",
        "replayWebhookDelivery",
    }


async def test_the_document_names_the_codes_of_refusals(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    responses = document["paths"]["/api/v1/chats/{chatId}/members/me"]["delete"]["responses"]
    assert responses["409"]["description"] == "Conflict: `WRONG_CHAT_TYPE`, `LAST_ADMIN`"
    assert "`INVALID_TOKEN`" in responses["401"]["description"]


async def test_what_is_for_operators_is_under_one_path_and_nothing_else_is(client: httpx.AsyncClient) -> None:
    assert {name for name, (_, operation) in OPERATIONS.items() if operation.access is Access.OPERATOR} == {
        name for name, (path, _) in OPERATIONS.items() if path.startswith("/api/v1/admin/")
    }
    document = (await client.get("/api/v1/openapi.json")).json()
    for path, item in document["paths"].items():
        for operation in item.values():
            scopes = operation.get("security") == [{"token": ["parley.operator"]}]
            assert scopes is path.startswith("/api/v1/admin/")
            assert "403" in operation["responses"] or not scopes


async def test_the_socket_is_described_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/asyncapi.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.json() == asyncapi.document()


async def test_the_document_is_whole(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            inner = [found for value in node.values() for found in references(value)]
            return [*inner, node["$ref"]] if isinstance(node.get("$ref"), str) else inner
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert "#/components/schemas/Message" in found
    assert "\\Z" not in json.dumps(document)  # in patterns it is Python's alone
    for reference in found:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    for path, item in document["paths"].items():
        for operation in item.values():
            names = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert names == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert operation["responses"]
