"""An edge subscribes to what a user may join, and to nothing else that the user names."""

import asyncio
from typing import Any

import pytest

from edge.pubsub.channels import chat_channel
from tests.integration.edge.conftest import Edge
from tests.integration.edge.scaffold import ScaffoldChat

CHAT, FOREIGN, LATER = "c" * 24, "f" * 24, "d" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}
    chat.members[FOREIGN] = {"carol"}


async def subscribed(chat: ScaffoldChat) -> set[bytes]:
    names: list[Any] = await chat.redis.pubsub_channels("chat:*")
    return set(names)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("join-chats", {"chatIds": [FOREIGN, CHAT, "e" * 24]}),
        ("resume", {"chats": [{"chatId": chat_id, "seq": 0} for chat_id in (FOREIGN, CHAT, "e" * 24)]}),
    ],
)
async def test_what_is_not_the_users_is_never_subscribed_to(
    edge: Edge, chat: ScaffoldChat, event: str, data: dict[str, object]
) -> None:
    alice = await edge.client("alice")
    gate = chat.gates["JoinChats"] = asyncio.Event()
    chat.entered["JoinChats"].clear()
    await alice.send(event, "q", **data)
    await chat.entered["JoinChats"].wait()
    assert await subscribed(chat) == {chat_channel(CHAT)}, "while chat_service is asked"
    gate.set()
    answer = (await alice.next(lambda frame: frame.get("id") == "q"))["data"]
    assert [item["chatId"] for item in answer["chats"]] == [CHAT]
    assert {item["chatId"]: item["error"]["code"] for item in answer["errors"]} == {
        FOREIGN: "NOT_A_MEMBER",
        "e" * 24: "NOT_A_MEMBER",
    }
    assert await subscribed(chat) == {chat_channel(CHAT)}


async def test_nothing_falls_between_the_permission_and_the_subscription(
    edge: Edge, chat: ScaffoldChat
) -> None:
    """Said after chat_service let the user in and before the edge listens: the head of the join has it."""
    alice = await edge.client("alice")
    chat.members[LATER] = {"alice", "bob"}
    gate = chat.gates["JoinChats"] = asyncio.Event()
    chat.entered["JoinChats"].clear()
    await alice.send("join-chats", "q", chatIds=[LATER])
    await chat.entered["JoinChats"].wait()
    await chat.say(LATER, "bob", "before the edge listens")
    gate.set()
    answer = await alice.next(lambda frame: frame.get("id") == "q")
    assert [head["seq"] for head in answer["data"]["chats"]] == [1]
    await chat.say(LATER, "bob", "behind the head")
    assert (await alice.next("new-message"))["data"]["content"] == "behind the head"


async def test_one_who_is_removed_right_after_the_permission_does_not_join(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    chat.members[LATER] = {"alice", "bob"}
    gate = chat.gates["JoinChats"] = asyncio.Event()
    chat.entered["JoinChats"].clear()
    await alice.send("join-chats", "q", chatIds=[LATER])
    await chat.entered["JoinChats"].wait()
    chat.members[LATER].discard("alice")
    gate.set()
    answer = (await alice.next(lambda frame: frame.get("id") == "q"))["data"]
    assert answer["chats"] == []
    assert [item["error"]["code"] for item in answer["errors"]] == ["NOT_A_MEMBER"]
