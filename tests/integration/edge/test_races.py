"""What can overtake what: sends before the welcome, removals during a join, outages after a leave."""

import asyncio
import json

import pytest

from edge.metrics import CLOSES
from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.integration.edge.test_delivery import raw_client
from tests.support.polling import eventually

CHAT = "c" * 24
OTHER = "d" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}
    chat.members[OTHER] = {"alice", "bob"}


async def break_subscriptions(chat: ScaffoldChat) -> None:
    """What a fail-over of Redis does to an edge."""
    await chat.redis.client_kill_filter(_type="pubsub")


async def send(client: Client, number: int) -> None:
    await client.send("send-message", number, chatId=CHAT, content=f"m{number}", clientMsgId=f"k{number}")


async def test_messages_sent_before_the_welcome_keep_their_order(edge: Edge, chat: ScaffoldChat) -> None:
    chat.gates["JoinChats"] = asyncio.Event()
    client = await edge.dial("alice")
    await chat.entered["JoinChats"].wait()
    for number in range(1, 6):
        await send(client, number)
        if number == 2:
            await client.send("join-chats", "join", chatIds=[OTHER])
    chat.gates["JoinChats"].set()
    await client.next("welcome")
    await send(client, 6)
    await client.next(lambda frame: frame.get("id") == 6)
    assert [entry.message.content for entry in chat.logs[CHAT].entries] == [f"m{n}" for n in range(1, 7)]


async def test_a_user_removed_while_joining_is_not_told_that_it_joined(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    await alice.ask("leave-chats", chatIds=[OTHER])
    chat.gates["JoinChats"] = asyncio.Event()
    await alice.send("join-chats", "join", chatIds=[OTHER])
    await chat.entered["JoinChats"].wait()
    await chat.tell_removed(OTHER, "alice")  # after chat_service looked, before its answer is here
    await alice.next("member-removed")
    chat.gates["JoinChats"].set()
    answer = await alice.next(lambda frame: frame.get("id") == "join")
    assert answer["data"]["chats"] == []
    assert [item["error"]["code"] for item in answer["data"]["errors"]] == ["NOT_A_MEMBER"]


async def test_an_outage_brings_back_no_chat_that_was_left(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    await alice.ask("leave-chats", chatIds=[OTHER])
    await break_subscriptions(chat)
    await alice.next("resync")
    await alice.ask("typing", "after", chatId=CHAT, isTyping=True)
    await chat.say(OTHER, "bob", "not for this connection")
    await chat.say(CHAT, "bob", "for all")
    await alice.next("new-message")
    assert {data["chatId"] for data in alice.all("resync")} == {CHAT}
    assert [data["content"] for data in alice.all("new-message")] == ["for all"]


async def test_a_session_that_cannot_be_rechecked_is_closed_and_others_are_served(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    chat.failures["OpenSession"] = InvalidArgument(
        ErrorReason.ERROR_REASON_INVALID_ARGUMENT, "for ever wrong"
    )
    await break_subscriptions(chat)
    assert await alice.close_code() == 1013
    del chat.failures["OpenSession"]
    bob = await edge.client("bob")
    await break_subscriptions(chat)
    await bob.next("resync")


async def test_a_session_that_ends_while_it_is_renewed_is_closed_behind_the_renewal(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_renew_seconds=0.1)
    alice = await edge.client("alice")
    connection_id = alice.all("welcome")[0]["connectionId"]
    chat.gates["RenewSessions"] = asyncio.Event()
    await chat.entered["RenewSessions"].wait()
    await alice.close()
    await eventually(lambda: chat.closed.count(connection_id) == 1)
    chat.gates["RenewSessions"].set()
    await eventually(lambda: chat.closed.count(connection_id) == 2)


async def test_a_session_that_ends_while_it_is_rechecked_is_closed_once_more(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    connection_id = alice.all("welcome")[0]["connectionId"]
    chat.gates["OpenSession"] = asyncio.Event()
    chat.entered["OpenSession"].clear()
    await break_subscriptions(chat)
    await chat.entered["OpenSession"].wait()
    await alice.close()
    await eventually(lambda: chat.closed.count(connection_id) == 1)
    chat.gates["OpenSession"].set()
    await eventually(lambda: chat.closed.count(connection_id) == 2)


async def test_a_client_that_resumes_and_reads_nothing_is_cut_off_and_others_are_rechecked(
    start_edge: StartEdge, chat: ScaffoldChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.websocket.connection._DRAINED_SECONDS", 0.5)
    edge = await start_edge()
    chat.store(
        CHAT, "bob", *["x" * 4_000] * 1_900
    )  # more than the kernel takes for a peer that reads nothing
    lazy = await raw_client(edge, "alice")
    frame = json.dumps({"event": "resume", "data": {"chats": [{"chatId": CHAT, "seq": 0}]}}).encode()
    assert len(frame) < 126
    before = CLOSES.labels("SLOW_CONSUMER")._value.get()
    # RFC 6455 section 5.2: a short text frame, masked with zeros.
    masked = bytes((0x81, 0x80 | len(frame), 0, 0, 0, 0)) + frame
    with lazy:
        await asyncio.get_running_loop().sock_sendall(lazy, masked)
        await eventually(lambda: CLOSES.labels("SLOW_CONSUMER")._value.get() == before + 1)
