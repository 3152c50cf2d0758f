"""All services but notify in this process, for tests that give them clusters; and a flow of messages."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from chaos.mesh import JWT_SECRET
from chat_service.app import serve as serve_chat
from chat_service.settings import ChatSettings
from edge.app import serve as serve_edge
from edge.settings import EdgeSettings
from mesh.lifecycle import Lifecycle
from tests.e2e.mesh import Client, Frame
from tests.integration.persist_service.conftest import SECRET, Servers, Service, running, serving

_names = itertools.count()
_PACE_SECONDS = 0.02  # of the messages in one chat


@dataclass(frozen=True)
class Door:
    """An edge in this process, as `Client` wants it."""

    port: int
    admin_port: int


@dataclass
class World:
    """The running services."""

    persist: Service
    edges: tuple[Door, Door]
    stack: AsyncExitStack

    async def pair(self, chats: int = 1) -> tuple[Client, Client, list[str]]:
        """Two users on two edges, and groups that both are in."""
        number = next(_names)
        alice = await Client.open(self.edges[0], f"alice-{number}", self.stack)  # type: ignore[arg-type]
        bob = await Client.open(self.edges[1], f"bob-{number}", self.stack)  # type: ignore[arg-type]
        body = {"name": "group", "memberIds": [bob.user_id]}
        chat_ids = [(await alice.rest.post("/groups", body))["group"]["id"] for _ in range(chats)]
        await bob.wait_for("chat-created", count=chats)
        return alice, bob, chat_ids


@asynccontextmanager
async def open_world(servers: Servers) -> AsyncIterator[World]:
    """Everything ready, while entered."""
    common: dict[str, Any] = {"service_secret": SECRET, "redis_url": servers.redis_url}
    life = Lifecycle()
    async with AsyncExitStack() as stack:
        persist = await stack.enter_async_context(running(servers))
        await serving(persist)
        stack.push_async_callback(life.close, 10.0)
        target = f"127.0.0.1:{persist.port}"
        rates = {"chat_send_rate": 1e6, "chat_send_burst": 1_000_000}
        ports = {"chat_port": 0, "chat_admin_port": 0, "amqp_url": servers.amqp_url, "persist_target": target}
        chat = await serve_chat(ChatSettings.model_validate({**common, **rates, **ports}), life)
        doors: list[Door] = []
        for _ in range(2):
            settings = EdgeSettings.model_validate(
                common
                | {"env": "development", "jwt_secret": JWT_SECRET, "jwt_audience": "parley"}
                | {"edge_port": 0, "edge_admin_port": 0, "chat_target": f"127.0.0.1:{chat['grpc']}"}
                | {"edge_probe_seconds": 0.5, "edge_frames_per_second": 1e5, "edge_frames_burst": 100_000}
            )
            bound = await serve_edge(settings, life)
            doors.append(Door(bound["http"], bound["admin"]))
        world = World(persist, (doors[0], doors[1]), stack)
        await _ready(world)
        yield world


async def _ready(world: World) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                alice, _, (chat_id,) = await world.pair()
                await alice.say(chat_id, "anybody?")
            except (AssertionError, OSError):
                await asyncio.sleep(0.1)
            else:
                return


@dataclass
class Flow:
    """Messages into some chats, one after the other, each offered until it is acked."""

    client: Client
    chat_ids: list[str]
    going: bool = True
    acked: dict[str, dict[str, Frame]] = field(init=False)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.acked = {chat_id: {} for chat_id in self.chat_ids}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for chat_id in self.chat_ids:
                group.create_task(self._fill(chat_id))

    async def _fill(self, chat_id: str) -> None:
        for number in itertools.count():
            if not self.going:
                return
            key = f"{chat_id}-{number}"
            message = {"chatId": chat_id, "content": key, "type": "text", "clientMsgId": key}
            while (reply := await self.client.ask("send-message", message))["event"] == "error":
                assert reply["data"]["retryable"], reply
                self.refused[reply["data"]["code"]] += 1
                await asyncio.sleep(0.02)
            self.acked[chat_id][key] = reply["data"]
            await asyncio.sleep(_PACE_SECONDS)

    @property
    def count(self) -> int:
        return sum(map(len, self.acked.values()))


async def check(world: World, flow: Flow, reader: Client) -> None:
    """Acked = stored, none twice; and what the reader has, live and by one resume, is all of it."""
    for chat_id, acked in flow.acked.items():
        await world.persist.stored(chat_id, max(ack["seq"] for ack in acked.values()))
        stored = list(world.persist.db.messages.find({"chatId": ObjectId(chat_id)}))
        assert sorted(message["content"] for message in stored) == sorted(acked)
        assert {m["content"]: m["seq"] for m in stored} == {key: ack["seq"] for key, ack in acked.items()}
        numbers = [acked[key]["number"] for key in sorted(acked, key=lambda key: acked[key]["seq"])]
        assert numbers == list(range(1, len(numbers) + 1))
        seen = [frame["content"] for frame in reader.of("new-message", chatId=chat_id)]
        assert [key for key, times in Counter(seen).items() if times > 1] == []
        if set(seen) != set(acked):  # then the reader was told so
            assert reader.of("resync", chatId=chat_id), set(seen) ^ set(acked)
            at = len(reader.frames)
            reply = await reader.ask("resume", {"chats": [{"chatId": chat_id, "seq": 0, "epoch": 0}]})
            assert reply["event"] == "ack", reply
            resumed = [frame["data"] for frame in reader.frames[at:] if frame["event"] == "new-message"]
            again = {frame["content"] for frame in resumed if frame["chatId"] == chat_id}
            assert set(acked) <= again | set(seen)
