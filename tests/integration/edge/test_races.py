"""What can overtake what: sends before the welcome, removals during a join, outages after a leave."""

import asyncio

import pytest

from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.edge.conftest import Client, Edge
from tests.integration.edge.scaffold import ScaffoldChat

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
