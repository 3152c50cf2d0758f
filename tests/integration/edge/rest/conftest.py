"""The real HTTP handlers on a real socket, with real gRPC to a service whose answers the test decides.

The scripted service is scaffolding: it shows what the edge asks for and what it makes of each answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx
import jwt
import pytest
from pydantic import SecretStr
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from edge.identity.dev_tokens import DevTokens
from edge.identity.keys import FixedKey, Key
from edge.identity.verifier import JwtVerifier, TokenRules
from edge.rest import OriginPolicy, RestDeps, application_settings, routes
from edge.revocations import Revocations
from mesh.readiness import Readiness
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from parley.chat.v1 import chat_service_pb2, chat_service_pb2_grpc
from tests.integration.edge.rest.api import Api

SECRET = "a secret of the tests, 32 bytes or more"
SERVICE_SECRET = SecretStr("the secret of services, 32 bytes or more")
MAX_BODY = 4096


class ScriptedChat:
    """Answers each method with what ``answers`` holds for it, also an exception; keeps the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"CheckRevocation": chat_service_pb2.CheckRevocationResponse()}
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


def token_for(user_id: str, **changes: object) -> str:
    claims = {"sub": user_id, "exp": int(time.time()) + 600, **changes}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.fixture
def chat() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture
async def deps(chat: ScriptedChat) -> AsyncIterator[RestDeps]:
    """What the handlers work with; in production mode, for the web origin https://app.example."""
    async with RpcServer("chat", SERVICE_SECRET) as server:
        server.add(chat_service_pb2_grpc.add_ChatServiceServicer_to_server, chat)
        port = await server.start("127.0.0.1", 0, field="chat_port")
        async with open_channel(
            f"127.0.0.1:{port}", caller="edge", callee="chat", secret=SERVICE_SECRET
        ) as channel:
            readiness = Readiness()
            readiness.add("chat", channel.check)
            yield RestDeps(
                chat=chat_service_pb2_grpc.ChatServiceStub(channel),
                verifier=JwtVerifier(FixedKey(Key(SECRET, ("HS256",))), TokenRules()),
                revocations=Revocations(chat_service_pb2_grpc.ChatServiceStub(channel)),
                readiness=readiness,
                origins=OriginPolicy(frozenset({"https://app.example"})),
                max_body_bytes=MAX_BODY,
            )


Serve = Callable[[RestDeps], str]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves the routes until the test ends; gives the address."""
    servers: list[HTTPServer] = []

    def start(deps: RestDeps) -> str:
        (socket,) = bind_sockets(0, "127.0.0.1")
        application = Application(cast("Any", routes(deps)), None, None, **application_settings(deps))
        server = HTTPServer(application)
        server.add_socket(socket)
        servers.append(server)
        return f"http://127.0.0.1:{socket.getsockname()[1]}"

    yield start
    for server in servers:
        server.stop()
        await server.close_all_connections()


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
