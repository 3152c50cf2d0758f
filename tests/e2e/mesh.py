"""The whole mesh as real processes on real servers: two edges, three services, and clients of them."""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import jwt
import msgspec
from pymongo import MongoClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from devstack.ports import free_port
from devstack.process import ManagedProcess, stop_all
from devstack.servers import MongoServer, RabbitMQServer, RedisServer

ROOT = Path(__file__).resolve().parents[2]
SERVICE_SECRET = "service-secret-of-the-end-to-end-tests"
JWT_SECRET = "user-token-secret-of-the-end-to-end-tests"
START_SECONDS = 30.0
WAIT_SECONDS = 10.0

Frame = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True)
class Service:
    """One process of the mesh on ports that stay the same when it is started again."""

    process: ManagedProcess
    port: int
    admin_port: int

    async def ready(self) -> None:
        """Returns once the process says that it can work."""
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.admin_port}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    assert self.process.running, self.process.log_tail()
                assert time.monotonic() < deadline, f"{self.process.name}: {self.process.log_tail()}"
                await asyncio.sleep(0.05)

    async def restart(self) -> None:
        """Starts it again after its end, and waits until it can work."""
        self.process.start()
        await self.ready()


@dataclass(slots=True)
class Mesh:
    """What a test needs to know of the running system."""

    redis: RedisServer
    rabbitmq: RabbitMQServer
    mongo: MongoServer
    databases: "MongoClient[dict[str, Any]]"
    persist: Service
    notify: Service
    chat: Service
    edges: tuple[Service, Service]

    @classmethod
    def start(cls, folder: Path, stack: ExitStack, **settings: str) -> Self:
        """Starts everything without waiting for the services; ``stack`` ends it again."""
        redis = stack.enter_context(RedisServer())
        rabbitmq = stack.enter_context(RabbitMQServer())
        mongo = stack.enter_context(MongoServer())
        ports = {
            name: (free_port(), free_port()) for name in ("persist", "notify", "chat", "edge-a", "edge-b")
        }
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "PARLEY_ENV": "development",
            "PARLEY_SERVICE_SECRET": SERVICE_SECRET,
            "PARLEY_JWT_SECRET": JWT_SECRET,
            "PARLEY_JWT_AUDIENCE": "parley",
            "PARLEY_REDIS_URL": redis.url,
            "PARLEY_AMQP_URL": rabbitmq.url,
            "PARLEY_MONGO_URL": mongo.url,
            "PARLEY_DRAIN_SECONDS": "5",
            **{
                f"PARLEY_{name.upper()}_TARGET": f"dns:///127.0.0.1:{ports[name][0]}"
                for name in ("persist", "notify", "chat")
            },
            **settings,
        }

        def service(name: str, module: str) -> Service:
            port, admin_port = ports[name]
            area = module.removesuffix("_service").upper()
            own = {f"PARLEY_{area}_PORT": str(port), f"PARLEY_{area}_ADMIN_PORT": str(admin_port)}
            process = ManagedProcess(
                name,
                [sys.executable, "-m", module],
                log_path=folder / f"{name}.log",
                env={**env, **own},
                cwd=ROOT,
            )
            process.start()
            return Service(process, port, admin_port)

        mesh = cls(
            redis=redis,
            rabbitmq=rabbitmq,
            mongo=mongo,
            databases=stack.enter_context(MongoClient(mongo.url, timeoutMS=5_000)),
            persist=service("persist", "persist_service"),
            notify=service("notify", "notify_service"),
            chat=service("chat", "chat_service"),
            edges=(service("edge-a", "edge"), service("edge-b", "edge")),
        )
        stack.callback(lambda: stop_all([item.process for item in mesh.services]))
        return mesh

    @property
    def services(self) -> tuple[Service, ...]:
        """All processes, in the order in which they should end."""
        return (*self.edges, self.chat, self.notify, self.persist)

    async def ready(self) -> None:
        """Returns once every service can work."""
        await asyncio.gather(*(item.ready() for item in self.services))

    def database(self, name: str = "parley") -> Any:
        """The database as an operator sees it."""
        return self.databases[name]


def token(user_id: str, **claims: Any) -> str:
    """A good token of a user, unless ``claims`` spoil it."""
    now = int(time.time())
    usual = {"sub": user_id, "name": user_id.title(), "aud": "parley", "iat": now, "exp": now + 600}
    return jwt.encode({**usual, **claims}, JWT_SECRET, algorithm="HS256")


class Rest:
    """The REST face of one edge for one user."""

    def __init__(self, edge: Service, user_id: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{edge.port}/api/v1",
            headers={"Authorization": f"Bearer {token(user_id)}"},
            timeout=10,
        )

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """One request, whatever its answer."""
        return await self._client.request(method, path, json=body)

    async def get(self, path: str) -> Any:
        """A document that must be there."""
        response = await self.call("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A document that must be accepted."""
        response = await self.call("POST", path, body)
        assert response.status_code in {200, 201}, response.text
        return response.json()

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


@dataclass(slots=True)
class Client:
    """One WebSocket connection of one user, with everything it was sent."""

    user_id: str
    socket: ClientConnection
    rest: Rest
    frames: list[Frame] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, edge: Service, user_id: str, stack: AsyncExitStack) -> Self:
        """Connects and waits for the welcome; ``stack`` closes it."""
        socket = await connect(
            f"ws://127.0.0.1:{edge.port}/ws",
            additional_headers={"Authorization": f"Bearer {token(user_id)}"},
            subprotocols=[Subprotocol("parley.v1.json")],
        )
        client = cls(user_id, socket, Rest(edge, user_id))
        client._reader = asyncio.create_task(client._read())
        stack.push_async_callback(client.close)
        await client.wait_for("welcome")
        return client

    async def close(self) -> None:
        """Closes the connection as a client that goes away does."""
        await self.socket.close()
        await self.rest.close()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        async for text in self.socket:
            async with self._arrived:
                self.frames.append(msgspec.json.decode(text))
                self._arrived.notify_all()
        async with self._arrived:
            self._arrived.notify_all()

    def of(self, event: str, **data: Any) -> list[Frame]:
        """The data of all frames of one event whose data hold at least ``data``."""
        return [
            frame["data"]
            for frame in self.frames
            if frame["event"] == event and data.items() <= frame["data"].items()
        ]

    async def wait_for(self, event: str, count: int = 1, **data: Any) -> list[Frame]:
        """Waits until ``count`` such frames have come."""
        async with self._arrived:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._arrived.wait_for(lambda: len(self.of(event, **data)) >= count)
            except TimeoutError:
                got = f"{len(self.of(event, **data))} of {count} {event} {data}"
                raise AssertionError(f"{self.user_id} got {got}; the last: {self.frames[-10:]}") from None
        return self.of(event, **data)

    async def ask(self, event: str, data: Mapping[str, Any]) -> Frame:
        """Sends a frame and gives the whole reply, an ack or an error."""
        frame_id = uuid.uuid4().hex
        await self.socket.send(msgspec.json.encode({"event": event, "id": frame_id, "data": data}).decode())
        async with self._arrived:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._arrived.wait_for(
                    lambda: any(frame.get("id") == frame_id for frame in self.frames)
                )
        return next(frame for frame in self.frames if frame.get("id") == frame_id)

    async def say(self, chat_id: str, content: str, key: str | None = None) -> Frame:
        """Sends a message that must be accepted; the data of its ack."""
        reply = await self.ask(
            "send-message",
            {"chatId": chat_id, "content": content, "type": "text", "clientMsgId": key or uuid.uuid4().hex},
        )
        assert reply["event"] == "ack", reply
        data: Frame = reply["data"]
        return data


async def until(condition: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Polls something that tells nobody when it changes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)
    return value
