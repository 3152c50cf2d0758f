"""Conversations over two edges on a Redis Cluster, also while slots move and while a primary dies."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import ObjectId

from chaos.mesh import JWT_SECRET
from chat_service.adapters.redis.keys import channel
from chat_service.app import serve as serve_chat
from chat_service.settings import ChatSettings
from devstack.servers import RedisCluster
from edge.app import serve as serve_edge
from edge.settings import EdgeSettings
from mesh.lifecycle import Lifecycle
from mesh.redis_cluster.slots import slot_of
from tests.e2e.mesh import Client, Frame, until
from tests.integration.persist_service.conftest import SECRET, Servers, Service, purge, running, serving

_names = itertools.count()
_PACE_SECONDS = 0.02  # of the messages in one chat


@dataclass(frozen=True)
class Door:
    """An edge in this process, as `Client` wants it."""

    port: int
    admin_port: int


@dataclass
class World:
    """All services but notify, on a Redis Cluster."""

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
    async with asyncio.timeout(20):
        while True:
            try:
                alice, _, (chat_id,) = await world.pair()
                await alice.say(chat_id, "anybody?")
            except (AssertionError, OSError):
                await asyncio.sleep(0.1)
            else:
                return


@pytest.fixture
async def servers(
    amqp_url: str, mongo_url: str, mongo_database: str
) -> AsyncIterator[Callable[[str], Servers]]:
    """Makes the addresses of everything, for the address of a cluster."""
    await purge(amqp_url)
    yield lambda redis_url: Servers(amqp_url, mongo_url, redis_url, mongo_database)
    await purge(amqp_url)


@pytest.fixture
async def world(servers: Callable[[str], Servers], redis_cluster: str) -> AsyncIterator[World]:
    async with open_world(servers(redis_cluster)) as opened:
        yield opened


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


async def _check(world: World, flow: Flow, reader: Client) -> None:
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
            assert reader.of("resync", chatId=chat_id)
            at = len(reader.frames)
            reply = await reader.ask("resume", {"chats": [{"chatId": chat_id, "seq": 0, "epoch": 0}]})
            assert reply["event"] == "ack", reply
            resumed = [frame["data"] for frame in reader.frames[at:] if frame["event"] == "new-message"]
            again = {frame["content"] for frame in resumed if frame["chatId"] == chat_id}
            assert set(acked) <= again | set(seen)


async def test_a_conversation_on_a_cluster_is_one_as_on_one_redis(world: World) -> None:
    alice, bob, chat_ids = await world.pair(chats=8)
    for chat_id in chat_ids:
        for number in range(5):
            await alice.say(chat_id, f"{number}")
    for chat_id in chat_ids:
        got = await bob.wait_for("new-message", count=5, chatId=chat_id)
        assert [frame["content"] for frame in got] == [f"{number}" for number in range(5)]
    await bob.ask("typing", {"chatId": chat_ids[0], "isTyping": True})
    await alice.wait_for("user-typing", userId=bob.user_id)
    assert (await bob.ask("mark-chat-read", {"chatId": chat_ids[0]}))["event"] == "ack"
    await alice.wait_for("chat-read", chatId=chat_ids[0])

    await bob.close()
    await alice.wait_for("user-offline", userId=bob.user_id)
    missed = await alice.say(chat_ids[1], "missed", key="once")
    again = await alice.say(chat_ids[1], "missed", key="once")
    assert (again["messageId"], again["duplicate"]) == (missed["messageId"], True)
    bob = await Client.open(world.edges[0], bob.user_id, world.stack)  # type: ignore[arg-type]
    reply = await bob.ask("resume", {"chats": [{"chatId": chat_ids[1], "seq": missed["seq"] - 1}]})
    assert reply["event"] == "ack", reply
    assert [frame["content"] for frame in bob.of("new-message")] == ["missed"]
    chats = {chat["id"]: chat for chat in (await bob.rest.get("/chats"))["chats"]}
    assert chats.keys() == set(chat_ids)


async def test_slots_that_move_while_messages_flow_lose_nothing(
    world: World, redis_nodes: RedisCluster
) -> None:
    alice, bob, chat_ids = await world.pair(chats=6)
    flow = Flow(alice, chat_ids)
    flowing = asyncio.create_task(flow.run())
    moves = 0
    for chat_id, node in itertools.product(chat_ids[:3], redis_nodes.primaries):
        slot = slot_of(channel(chat_id))
        if redis_nodes.owner(slot) is not node:
            before = flow.count
            await asyncio.to_thread(redis_nodes.move_slot, slot, node)
            moves += 1
            await until(lambda before=before: flow.count > before + 30, "messages go on")  # type: ignore[misc]
    flow.going = False
    await flowing
    assert moves >= 6
    for chat_id in chat_ids[:3]:
        await bob.wait_for("resync", chatId=chat_id)
    for chat_id in chat_ids[3:]:  # where nothing moved nothing was missed
        await bob.wait_for("new-message", count=len(flow.acked[chat_id]), chatId=chat_id)
        assert not bob.of("resync", chatId=chat_id)
    await _check(world, flow, bob)


async def test_a_primary_that_dies_while_messages_flow_loses_nothing_that_was_acked(
    servers: Callable[[str], Servers],
) -> None:
    with RedisCluster(replicas=1) as cluster:
        async with open_world(servers(cluster.url)) as world:
            alice, bob, chat_ids = await world.pair(chats=6)
            flow = Flow(alice, chat_ids)
            flowing = asyncio.create_task(flow.run())
            await until(lambda: flow.count > 100, "messages flow")
            victim = cluster.owner(slot_of(channel(chat_ids[0])))
            victim.kill()
            await until(flow.refused.total, "the outage shows")
            before = {chat_id: len(acked) for chat_id, acked in flow.acked.items()}
            await until(
                lambda: all(len(flow.acked[chat_id]) > before[chat_id] + 20 for chat_id in chat_ids),
                "all chats go on",
                seconds=30,
            )
            flow.going = False
            await flowing
            await bob.wait_for("resync", chatId=chat_ids[0])
            await _check(world, flow, bob)
