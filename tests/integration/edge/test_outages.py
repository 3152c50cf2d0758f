"""Redis and chat_service go and come back; connections end; the edge goes away."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from devstack.servers import RedisServer
from mesh.errors import unavailable
from tests.integration.edge.conftest import Edge, running_edge
from tests.integration.edge.scaffold import ScaffoldChat, scaffold_chat
from tests.support.polling import eventually

CHAT = "c" * 24
OTHER = "d" * 24


@pytest.fixture
async def own_redis() -> AsyncIterator[RedisServer]:
    """A Redis that the test may stop."""
    with RedisServer() as server:
        yield server


async def test_after_a_restart_of_redis_everyone_resyncs_and_delivery_goes_on(own_redis: RedisServer) -> None:
    async with (
        scaffold_chat(own_redis.url) as (chat, port),
        running_edge(own_redis.url, chat, port) as edge,
    ):
        chat.members[CHAT] = {"alice", "bob"}
        chat.members[OTHER] = {"alice", "bob"}
        alice, bob = await edge.client("alice"), await edge.client("bob")
        await asyncio.to_thread(own_redis.stop)
        # While events are lost, bob is removed from one chat and alice added to another.
        chat.members[OTHER].discard("bob")
        added = "e" * 24
        chat.members[added] = {"alice"}
        await asyncio.to_thread(own_redis.start)

        for client in (alice, bob):
            resynced = {(await client.next("resync"))["data"]["chatId"] for _ in range(2)}
            assert resynced == {CHAT, OTHER}
        assert (await bob.next("member-removed"))["data"]["chatId"] == OTHER
        assert (await alice.next("resync"))["data"]["chatId"] == added

        await chat.say(OTHER, "alice", "not for bob")
        await chat.say(CHAT, "alice", "for both")
        assert (await bob.next("new-message"))["data"]["content"] == "for both"
        await chat.say(added, "carol", "new chat")
        contents = [(await alice.next("new-message"))["data"]["content"] for _ in range(3)]
        assert contents == ["not for bob", "for both", "new chat"]
        assert alice.connection.close_code is bob.connection.close_code is None


async def test_without_redis_nobody_gets_in_and_readiness_says_so(own_redis: RedisServer) -> None:
    async with (
        scaffold_chat(own_redis.url) as (chat, port),
        running_edge(own_redis.url, chat, port) as edge,
        httpx.AsyncClient() as http,
    ):

        async def answers(status: int) -> bool:
            return (await http.get(f"http://127.0.0.1:{edge.port}/readyz")).status_code == status

        await eventually(lambda: answers(200), "ready")
        await asyncio.to_thread(own_redis.stop)
        await eventually(lambda: answers(503), "not ready")
        alice = await edge.dial("alice")
        assert await alice.close_code() == 1013
        assert alice.connection.close_reason == "UNAVAILABLE: redis cannot be reached now"
        assert alice.frames == []


async def test_a_failing_chat_service_refuses_sessions_retryably(edge: Edge, chat: ScaffoldChat) -> None:
    chat.failures["OpenSession"] = unavailable("persist")
    alice = await edge.dial("alice")
    assert await alice.close_code() == 1013
    chat.failures.clear()
    await edge.client("alice")


async def test_a_session_ends_with_its_connection_also_while_it_opens(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    await alice.close()
    await eventually(lambda: len(chat.closed) == 1)
    gate = chat.gates["OpenSession"] = asyncio.Event()
    chat.entered["OpenSession"].clear()
    early = await edge.dial("alice")
    await asyncio.wait_for(chat.entered["OpenSession"].wait(), 30)
    await early.close()
    gate.set()
    await eventually(lambda: len(chat.closed) == 2)
    assert chat.sessions == {}


async def test_going_away_finishes_sends_and_says_so(edge: Edge, chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice"}
    alice, bob = await edge.client("alice"), await edge.client("bob")
    gate = chat.gates["SendMessages"] = asyncio.Event()
    await alice.send("send-message", 1, chatId=CHAT, content="x", type="text", clientMsgId="a")
    await asyncio.wait_for(chat.entered["SendMessages"].wait(), 30)
    closing = asyncio.create_task(edge.life.close(20))
    async with asyncio.timeout(30):
        while True:  # the door is shut first
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            except ConnectionRefusedError:
                break
            writer.close()
            await asyncio.sleep(0.01)
    gate.set()
    assert (await alice.next("ack"))["id"] == 1
    assert await alice.close_code() == 1001
    assert await bob.close_code() == 1001
    await closing
    assert chat.sessions == {}
