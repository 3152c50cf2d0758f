"""Conversations over two edges on a Redis Cluster, also while slots move and while a primary dies."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from chat_service.adapters.redis.keys import channel
from devstack.servers import RedisCluster
from mesh.redis_cluster.slots import slot_of
from tests.e2e.mesh import Client
from tests.e2e.world import Flow, World, check, open_world
from tests.integration.persist_service.conftest import Servers, purge
from tests.support.polling import eventually


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
            await eventually(lambda before=before: flow.count > before + 30, "messages go on")  # type: ignore[misc]
    flow.going = False
    await flowing
    assert moves >= 6
    for chat_id in chat_ids[:3]:
        await bob.wait_for("resync", chatId=chat_id)
    for chat_id in chat_ids[3:]:  # where nothing moved nothing was missed
        await bob.wait_for("new-message", count=len(flow.acked[chat_id]), chatId=chat_id)
        assert not bob.of("resync", chatId=chat_id)
    await check(world, flow, bob)


async def test_a_primary_that_dies_while_messages_flow_loses_nothing_that_was_acked(
    servers: Callable[[str], Servers],
) -> None:
    with RedisCluster(replicas=1) as cluster:
        async with open_world(servers(cluster.url)) as world:
            alice, bob, chat_ids = await world.pair(chats=6)
            flow = Flow(alice, chat_ids)
            flowing = asyncio.create_task(flow.run())
            await eventually(lambda: flow.count > 100, "messages flow")
            victim = cluster.owner(slot_of(channel(chat_ids[0])))
            victim.kill()
            await eventually(flow.refused.total, "the outage shows")
            before = {chat_id: len(acked) for chat_id, acked in flow.acked.items()}
            await eventually(
                lambda: all(len(flow.acked[chat_id]) > before[chat_id] + 20 for chat_id in chat_ids),
                "all chats go on",
                seconds=30,
            )
            flow.going = False
            await flowing
            await bob.wait_for("resync", chatId=chat_ids[0])
            await check(world, flow, bob)
