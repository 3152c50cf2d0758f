"""An edge in the test's own event loop, a scaffold for chat_service, and clients with real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import jwt
import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from edge.app import serve
from edge.protocol.codec import BINARY, CODECS
from edge.settings import EdgeSettings
from mesh.lifecycle import Lifecycle
from tests.integration.edge.scaffold import SECRET, SERVICE_SECRET, ScaffoldChat, scaffold_chat
from tests.support.declared_json import client_frame, server_frame

PATIENCE = 30.0


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that services run on."""
    return {"uvloop": uvloop.new_event_loop}


def token(user_id: str, **claims: Any) -> str:
    """A token that the edge accepts, unless `claims` say otherwise; for longer than a run of all tests."""
    return jwt.encode({"sub": user_id, "exp": int(time.time()) + 86_400, **claims}, SECRET, algorithm="HS256")


class Client:
    """A user's client. `frames` are all that came, in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self._arrived = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None
        self._read_from = 0
        self._binary = connection.subprotocol == BINARY.subprotocol

    def start(self) -> None:
        """Begins to read."""
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Closes and waits for it."""
        await self.connection.close()
        if self._reading is not None:
            await self._reading

    async def send(self, event: str, frame_id: Any = None, **data: Any) -> None:
        """Sends a frame."""
        frame = {"event": event, "id": frame_id, "data": data}
        await self.connection.send(client_frame(frame) if self._binary else json.dumps(frame))

    async def ask(self, event: str, frame_id: Any = "q", **data: Any) -> dict[str, Any]:
        """Sends a frame and gives the `ack` or `error` to it."""
        await self.send(event, frame_id, **data)
        return await self.next(lambda frame: frame.get("id") == frame_id)

    async def next(self, wanted: str | Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next frame that is wanted; what comes before it is skipped, here but not in `frames`."""
        matches = wanted if callable(wanted) else lambda frame: bool(frame["event"] == wanted)
        async with asyncio.timeout(PATIENCE), self._arrived:
            while True:
                while self._read_from < len(self.frames):
                    frame = self.frames[self._read_from]
                    self._read_from += 1
                    if matches(frame):
                        return frame
                assert self._reading is not None
                assert not self._reading.done(), f"closed: {self.connection.close_code}"
                await self._arrived.wait()

    def all(self, event: str) -> list[dict[str, Any]]:
        """The data of all frames of one event so far."""
        return [frame["data"] for frame in self.frames if frame["event"] == event]

    async def close_code(self) -> int | None:
        """Waits until the server has closed; gives the code."""
        assert self._reading is not None
        await asyncio.wait_for(asyncio.shield(self._reading), PATIENCE)
        return self.connection.close_code

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                async with self._arrived:
                    self.frames.append(json.loads(text) if isinstance(text, str) else server_frame(text))
                    self._arrived.notify_all()
        except ConnectionClosed:
            pass
        finally:
            async with self._arrived:
                self._arrived.notify_all()


class Edge:
    """A running edge. Clients speak `subprotocol` to it, unless they say otherwise."""

    subprotocol: str | None = None

    def __init__(self, port: int, admin_port: int, chat: ScaffoldChat, life: Lifecycle) -> None:
        self.port = port
        self.admin_port = admin_port
        self.chat = chat
        self.life = life
        self._clients: list[Client] = []

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def dial(self, user_id: str, **options: Any) -> Client:
        """Connects; does not wait for the welcome."""
        headers = {"Authorization": f"Bearer {token(user_id)}"}
        options.setdefault("additional_headers", headers)
        if self.subprotocol is not None:
            options.setdefault("subprotocols", [self.subprotocol])
        client = Client(
            await connect(self.url, compression=None, ping_interval=None, close_timeout=2, **options)
        )
        client.start()
        self._clients.append(client)
        return client

    async def client(self, user_id: str) -> Client:
        """Connects and waits for the welcome."""
        client = await self.dial(user_id)
        await client.next("welcome")
        return client

    async def close(self) -> None:
        """Closes the clients, then the edge."""
        for client in self._clients:
            await client.close()
        await self.life.close(10)


StartEdge = Callable[..., Awaitable[Edge]]


@asynccontextmanager
async def running_edge(
    redis_url: str, chat: ScaffoldChat, chat_port: int, **fields: Any
) -> AsyncIterator[Edge]:
    """Runs an edge."""
    settings = EdgeSettings.model_validate(
        {
            "service_secret": SERVICE_SECRET,
            "jwt_secret": SECRET,
            "redis_url": redis_url,
            "chat_target": f"127.0.0.1:{chat_port}",
            "edge_port": 0,
            "edge_admin_port": 0,
            "edge_frames_per_second": 10_000,
            "edge_frames_burst": 10_000,
            "edge_drain_spread_seconds": 0.2,
            **fields,
        }
    )
    life = Lifecycle()
    ports = await serve(settings, life)
    edge = Edge(ports["http"], ports["admin"], chat, life)
    try:
        yield edge
    finally:
        await edge.close()


@pytest.fixture
async def chat_and_port(redis_db: str) -> AsyncIterator[tuple[ScaffoldChat, int]]:
    """The scaffold and where it listens."""
    async with scaffold_chat(redis_db) as running:
        yield running


@pytest.fixture
def chat(chat_and_port: tuple[ScaffoldChat, int]) -> ScaffoldChat:
    """The scaffold."""
    return chat_and_port[0]


@pytest.fixture
def subprotocol() -> str | None:
    """What clients speak; None: they name nothing, which is JSON."""
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where a module says so, each test with an edge runs in both forms of the protocol."""
    if "subprotocol" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_FORMS", False):
        metafunc.parametrize("subprotocol", list(CODECS))


@pytest.fixture
async def start_edge(
    redis_db: str, chat_and_port: tuple[ScaffoldChat, int], subprotocol: str | None
) -> AsyncIterator[StartEdge]:
    """Starts edges, with settings of the test's choice."""
    async with AsyncExitStack() as stack:

        async def start(**fields: Any) -> Edge:
            edge = await stack.enter_async_context(running_edge(redis_db, *chat_and_port, **fields))
            edge.subprotocol = subprotocol
            return edge

        yield cast("StartEdge", start)


@pytest.fixture
async def edge(start_edge: StartEdge) -> Edge:
    """An edge with ordinary settings."""
    return await start_edge()
