"""The real HTTP handlers on a real socket, with real gRPC to a service whose answers the test decides.

The scripted service is scaffolding: it shows what the edge asks for and what it makes of each answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import jwt
import pytest
from pydantic import SecretStr
from tornado.netutil import bind_sockets
from tornado.web import Application

from edge.addresses import TrustedProxies
from edge.identity.dev_tokens import DevTokens
from edge.identity.keys import FixedKey, Key
from edge.identity.revocations import Revocations
from edge.identity.verifier import JwtVerifier, TokenRules
from edge.rest import OriginPolicy, RestDeps, application_settings, routes
from edge.rest.errors import MAX_HEAD_BYTES
from edge.rest.unasked import UNREADABLE
from mesh.http.places import Places
from mesh.http.server import HttpLimits, HttpServer, OwnAnswers
from mesh.readiness import Readiness
from mesh.rpc.channel import RpcChannel, open_channel
from mesh.rpc.server import RpcServer
from parley.chat.v1 import chat_service_pb2, chat_service_pb2_grpc
from parley.notify.v1 import notify_service_pb2_grpc, webhook_service_pb2_grpc
from tests.integration.edge.rest.api import Api

SECRET = "a secret of the tests, 32 bytes or more"
SERVICE_SECRET = SecretStr("the secret of services, 32 bytes or more")
MAX_BODY = 4096


class Scripted:
    """Answers each method with what ``answers`` holds for it, also an exception; keeps the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[Any] = []

    def __getattr__(self, method: str) -> Callable[[Any, Any], Any]:
        if not method[0].isupper():
            raise AttributeError(method)

        async def call(request: Any, _context: Any) -> Any:
            if method != "CheckRevocation":  # it comes before every call
                self.requests.append(request)
            answer = self.answers[method]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class ScriptedChat(Scripted):
    """In the place of chat_service, which is asked about every token."""

    def __init__(self) -> None:
        super().__init__()
        self.answers["CheckRevocation"] = chat_service_pb2.CheckRevocationResponse()


class ScriptedNotify(Scripted):
    """In the place of notify_service."""


def token_for(user_id: str, **changes: object) -> str:
    """A good token, unless `changes` say otherwise; for longer than a run of all tests."""
    claims = {"sub": user_id, "exp": int(time.time()) + 86_400, **changes}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.fixture
def chat() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture
def notify() -> ScriptedNotify:
    return ScriptedNotify()


@asynccontextmanager
async def channel_to(
    service: str, scripted: Scripted, *servicers: Callable[..., None]
) -> AsyncIterator[RpcChannel]:
    """A channel to a server of its own; ``servicers`` are what the generated code adds to servers by."""
    async with RpcServer(service, SERVICE_SECRET) as server:
        for add in servicers:
            server.add(add, scripted)
        port = await server.start("127.0.0.1", 0, field=f"{service}_port")
        async with open_channel(
            f"127.0.0.1:{port}", caller="edge", callee=service, secret=SERVICE_SECRET
        ) as channel:
            yield channel


@pytest.fixture
async def deps(chat: ScriptedChat, notify: ScriptedNotify) -> AsyncIterator[RestDeps]:
    """What the handlers work with; in production mode, for the web origin https://app.example."""
    async with (
        channel_to("chat", chat, chat_service_pb2_grpc.add_ChatServiceServicer_to_server) as to_chat,
        channel_to(
            "notify",
            notify,
            notify_service_pb2_grpc.add_NotifyServiceServicer_to_server,
            webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server,
        ) as to_notify,
    ):
        readiness = Readiness()
        readiness.add("chat", to_chat.check)
        yield RestDeps(
            chat=chat_service_pb2_grpc.ChatServiceStub(to_chat),
            notify=notify_service_pb2_grpc.NotifyServiceStub(to_notify),
            webhooks=webhook_service_pb2_grpc.WebhookServiceStub(to_notify),
            verifier=JwtVerifier(FixedKey(Key(SECRET, ("HS256",))), TokenRules()),
            revocations=Revocations(chat_service_pb2_grpc.ChatServiceStub(to_chat)),
            readiness=readiness,
            origins=OriginPolicy(frozenset({"https://app.example"})),
            max_body_bytes=MAX_BODY,
            proxies=TrustedProxies(()),
        )


Serve = Callable[[RestDeps], str]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves the routes until the test ends; gives the address."""
    servers: list[HttpServer] = []

    def start(deps: RestDeps) -> str:
        (socket,) = bind_sockets(0, "127.0.0.1")
        application = Application(cast("Any", routes(deps)), None, None, **application_settings(deps))
        limits = HttpLimits(request_seconds=20, idle_seconds=90, max_head_bytes=MAX_HEAD_BYTES)
        answers = OwnAnswers(unreadable=UNREADABLE)
        server = HttpServer(application, limits=limits, places=Places(1000), name="clients", answers=answers)
        servers.append(server)
        return f"http://127.0.0.1:{server.listen([socket])}"

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def client(deps: RestDeps, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=serve(deps)) as made:
        yield made


@pytest.fixture
def api(client: httpx.AsyncClient) -> Api:
    """The API as user ``ada`` sees it."""
    return Api(client, token_for("ada"))


@pytest.fixture
def dev_tokens() -> DevTokens:
    return DevTokens(SECRET, issuer=None, audience=())
