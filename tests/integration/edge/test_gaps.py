"""What Redis did not bring is noticed: a hole in a log, a broken subscription, a silent one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from devstack.servers import RedisServer
from edge.metrics import GAPS, SILENCES
from mesh.errors import Unavailable
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.edge.conftest import PATIENCE, Client, Edge, StartEdge, running_edge
from tests.integration.edge.scaffold import ScaffoldChat, scaffold_chat
from tests.support.polling import eventually

BOTH_FORMS = True  # of the protocol

CHAT = "c" * 24


@pytest.fixture
async def own_redis() -> AsyncIterator[RedisServer]:
    """A Redis that the test may pause."""
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}


async def _resumed(client: Client, seq: int) -> list[int]:
    """The positions that a resume brings."""
    at = len(client.frames)
    answer = await client.ask("resume", f"from {seq}", chats=[{"chatId": CHAT, "seq": seq}])
    assert answer["event"] == "ack", answer
    came = client.frames[at : client.frames.index(answer)]
    return [frame["data"]["seq"] for frame in came if frame["event"] == "new-message"]


async def test_a_hole_in_a_log_is_told_before_what_follows(edge: Edge, chat: ScaffoldChat) -> None:
    clients = [await edge.client("alice"), await edge.client("bob")]
    await chat.say(CHAT, "bob", "one")
    chat.store(CHAT, "bob", "lost")
    await chat.say(CHAT, "bob", "three", "four")
    for client in clients:
        await client.next(lambda frame: frame["data"].get("seq") == 4)
        assert [frame["event"] for frame in client.frames[1:]] == [
            "new-message",
            "resync",
            "new-message",
            "new-message",
        ]
        assert client.all("resync") == [{"chatId": CHAT}]
        assert await _resumed(client, 1) == [2, 3, 4]


async def test_what_is_lost_right_after_joining_is_a_hole_too(edge: Edge, chat: ScaffoldChat) -> None:
    chat.store(CHAT, "bob", "known by the head")
    alice = await edge.client("alice")
    chat.store(CHAT, "bob", "lost")
    await chat.say(CHAT, "bob", "three")
    await alice.next("resync")


@pytest.mark.parametrize("epoch", [1, 2])
async def test_a_log_that_begins_again_is_told(edge: Edge, chat: ScaffoldChat, epoch: int) -> None:
    alice = await edge.client("alice")
    await chat.say(CHAT, "bob", *map(str, range(5)))
    log = chat.logs[CHAT]
    log.epoch, log.seq = epoch, 0
    log.entries.clear()
    await chat.say(CHAT, "bob", "a new life", "goes on")
    await alice.next("resync")
    await alice.next(lambda frame: frame["data"].get("content") == "goes on")
    assert len(alice.all("resync")) == 1
    answer = await alice.ask("resume", chats=[{"chatId": CHAT, "seq": 5, "epoch": 1}])
    assert answer["data"]["chats"][0]["reset"]


async def test_a_subscription_that_is_cut_off_comes_back_and_everyone_resumes(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge()
    alice = await edge.client("alice")
    await chat.say(CHAT, "bob", "one")
    await alice.next("new-message")
    await chat.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
    chat.store(CHAT, "bob", "lost")
    await alice.next("resync")
    assert await _resumed(alice, 1) == [2]
    await chat.say(CHAT, "bob", "three")
    assert (await alice.next("new-message"))["data"]["seq"] == 3


async def test_chats_that_came_and_went_in_a_gap_are_told(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    came, went = "d" * 24, "e" * 24
    chat.members[went] = {"alice"}
    edge = await start_edge()
    alice, other = await edge.client("alice"), await edge.client("alice")
    await other.ask("leave-chats", chatIds=[CHAT])
    # What nobody is told of is to the edge as what was told while it did not hear.
    chat.members[came] = {"alice", "bob"}
    chat.members[went].clear()
    chat.store(came, "bob", "missed")
    chat.failures["GetChat"] = Unavailable(ErrorReason.ERROR_REASON_UNAVAILABLE, "not now")
    await chat.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
    await asyncio.wait_for(chat.entered["GetChat"].wait(), PATIENCE)
    del chat.failures["GetChat"]
    for client in (alice, other):
        created = await client.next("chat-created")
        assert (created["data"]["chat"]["id"], created["data"]["actorId"]) == (came, "")
        assert (await client.next("resync"))["data"] == {"chatId": came}
        [removed] = client.all("member-removed")
        assert (removed["chatId"], removed["userId"], removed["seq"]) == (went, "alice", 0)
    await chat.say(came, "bob", "live")
    await chat.say(went, "bob", "not for her")
    for client in (alice, other):
        assert (await client.next("new-message"))["data"]["content"] == "live"
        assert [data["chat"]["id"] for data in client.all("chat-created")] == [came]
    # And what is known, or was left, is not told as new.
    await chat.say(CHAT, "bob", "to who stayed")
    await alice.next(lambda frame: frame["data"].get("content") == "to who stayed")
    assert await other.ask("join-chats", chatIds=[CHAT])
    assert "to who stayed" not in [data["content"] for data in other.all("new-message")]


async def test_chats_told_by_the_welcome_are_not_told_again_by_a_gap_before_it(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge()
    watcher = await edge.client("bob")
    gate = chat.gates["JoinChats"] = asyncio.Event()
    chat.entered["JoinChats"].clear()
    joining = asyncio.create_task(edge.client("alice"))
    await asyncio.wait_for(chat.entered["JoinChats"].wait(), PATIENCE)
    await chat.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
    await watcher.next("resync")
    gate.set()
    alice = await joining
    await chat.say(CHAT, "bob", "one")
    await alice.next("new-message")
    await eventually(lambda: len(chat.opened_active_ms) >= 4)  # both opened, and both were rechecked
    await chat.say(CHAT, "bob", "two")
    await alice.next("new-message")
    assert alice.frames[0]["event"] == "welcome"
    assert alice.all("chat-created") == []


async def test_a_silent_redis_is_noticed_and_what_was_missed_is_told(own_redis: RedisServer) -> None:
    async with (
        scaffold_chat(own_redis.url) as (chat, port),
        running_edge(own_redis.url, chat, port, edge_probe_seconds=0.1) as edge,
    ):
        chat.members[CHAT] = {"alice", "bob"}
        alice = await edge.client("alice")
        await chat.say(CHAT, "bob", "one")
        await alice.next("new-message")
        before = SILENCES._value.get()
        own_redis.pause()
        try:
            await eventually(lambda: SILENCES._value.get() > before)
            chat.store(CHAT, "bob", "lost")
        finally:
            own_redis.resume()
        await alice.next("resync")
        assert await _resumed(alice, 1) == [2]
        await chat.say(CHAT, "bob", "three")
        assert (await alice.next("new-message"))["data"]["seq"] == 3
        assert alice.connection.close_code is None


async def test_a_redis_that_came_back_is_one_gap(own_redis: RedisServer) -> None:
    async with (
        scaffold_chat(own_redis.url) as (chat, port),
        running_edge(own_redis.url, chat, port, edge_probe_seconds=0.1) as edge,
    ):
        chat.members[CHAT] = {"alice", "bob"}
        alice = await edge.client("alice")
        await chat.say(CHAT, "bob", "one")
        await alice.next("new-message")
        before, silences = GAPS._value.get(), SILENCES._value.get()
        own_redis.kill()
        await eventually(lambda: SILENCES._value.get() > silences)
        own_redis.restart()
        await alice.next("resync")

        async with Redis.from_url(own_redis.url) as redis, asyncio.timeout(PATIENCE):
            while (await redis.info("commandstats")).get("cmdstat_publish", {"calls": 0})["calls"] < 5:
                await asyncio.sleep(0.05)  # until the edge has probed so many times
        assert GAPS._value.get() == before + 1
        assert len(alice.all("resync")) == 1


async def test_a_working_subscription_is_left_alone(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    edge = await start_edge(edge_probe_seconds=0.01)
    alice = await edge.client("alice")
    before = SILENCES._value.get()
    await chat.say(CHAT, "bob", *["x" * 1000] * 500)
    await alice.next(lambda frame: frame["data"].get("seq") == 500)
    assert (SILENCES._value.get(), alice.all("resync")) == (before, [])
