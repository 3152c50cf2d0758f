"""Conversations on a RabbitMQ cluster while its nodes die, one and then most of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devstack.servers import RabbitMQCluster
from mesh.amqp.topology import MESSAGE_PERSIST
from tests.e2e.mesh import Client
from tests.e2e.world import Flow, World, check, open_world
from tests.integration.persist_service.conftest import Servers, purge
from tests.support.polling import eventually

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def world(
    rabbitmq_cluster: RabbitMQCluster, mongo_url: str, redis_db: str, mongo_database: str
) -> AsyncIterator[World]:
    await purge(rabbitmq_cluster.nodes[0].url)
    async with open_world(Servers(rabbitmq_cluster.url, mongo_url, redis_db, mongo_database)) as opened:
        await asyncio.to_thread(rabbitmq_cluster.mend)
        yield opened


async def test_nodes_that_die_while_messages_flow_lose_and_repeat_nothing(
    world: World, rabbitmq_cluster: RabbitMQCluster
) -> None:
    """kill -9 of the leader of `message-persist`, then of two nodes of three; counts what became of sends."""
    alice, bob, chat_ids = await world.pair(chats=4)
    flow = Flow(alice, chat_ids)
    flowing = asyncio.create_task(flow.run())

    async def goes_on() -> None:
        before = {chat_id: len(acked) for chat_id, acked in flow.acked.items()}
        await eventually(
            lambda: all(len(flow.acked[chat_id]) > before[chat_id] + 20 for chat_id in chat_ids),
            "all chats go on",
            seconds=60,
        )

    await goes_on()
    leader = rabbitmq_cluster.leader(MESSAGE_PERSIST)
    leader.kill()
    await goes_on()
    refused = flow.refused.total()
    await asyncio.to_thread(rabbitmq_cluster.mend)
    await goes_on()

    others = [node for node in rabbitmq_cluster.nodes if node is not leader]
    for node in others:
        node.kill()
    await _refused_unseen(flow, bob)
    acked = flow.count
    assert (await alice.ask("typing", {"chatId": chat_ids[0], "isTyping": True}))["event"] == "ack"
    await bob.wait_for("user-typing", userId=alice.user_id)
    await _refused_unseen(flow, bob)
    assert flow.count == acked
    await asyncio.to_thread(others[0].start)
    await goes_on()
    await asyncio.to_thread(rabbitmq_cluster.mend)
    await goes_on()

    flow.going = False
    await flowing
    assert flow.refused.keys() <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    for chat_id in chat_ids:
        await bob.wait_for("new-message", count=len(flow.acked[chat_id]), chatId=chat_id)
    await check(world, flow, bob)
    assert not bob.of("resync")
    figures = f"{flow.count} acked, stored and delivered once; refused {refused} when one node died"
    print(f"{figures}, {flow.refused.total() - refused} while most were dead")  # noqa: T201 - the figures


async def _refused_unseen(flow: Flow, reader: Client) -> None:
    """Returns once sends are refused before anybody is shown them."""
    async with asyncio.timeout(30):
        while True:
            shown, goal = len(reader.of("new-message")), flow.refused.total() + 50
            await eventually(lambda goal=goal: flow.refused.total() > goal, "sends are refused")  # type: ignore[misc]
            if len(reader.of("new-message")) == shown:
                return
