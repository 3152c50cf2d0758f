"""Typing as the others see it: each beginning has its end, whoever comes and goes meanwhile."""

import pytest

from parley.events.v1.chat_event_pb2 import ChatEvent, MemberRemoved
from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

BOTH_FORMS = True  # of the protocol

CHAT = "c" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob", "carol"}


async def type_in(client: Client) -> None:
    assert (await client.ask("typing", chatId=CHAT, isTyping=True))["event"] == "ack"


def seen(client: Client) -> list[bool]:
    return [data["isTyping"] for data in client.all("user-typing")]


async def test_it_is_told_to_others_once_and_ends_by_itself(edge: Edge) -> None:
    alice, bob = await edge.client("alice"), await edge.client("bob")
    for _ in range(3):
        await type_in(alice)
    await bob.next("user-typing")
    stopped = await bob.next("user-typing")
    assert stopped["data"] == {"chatId": CHAT, "userId": "alice", "isTyping": False}
    assert seen(bob) == [True, False]
    assert alice.all("user-typing") == []


async def test_a_message_ends_it_and_what_is_typed_next_is_told(edge: Edge) -> None:
    alice, bob = await edge.client("alice"), await edge.client("bob")
    await type_in(alice)
    await alice.ask("send-message", chatId=CHAT, content="done", clientMsgId="one")
    await type_in(alice)
    await eventually(lambda: seen(bob) == [True, False, True])
    events = [frame["event"] for frame in bob.frames]
    assert events[-4:] == ["user-typing", "user-typing", "new-message", "user-typing"]


async def test_who_joins_meanwhile_is_told_who_types(edge: Edge) -> None:
    alice, bob = await edge.client("alice"), await edge.client("bob")
    await type_in(alice)
    await bob.next("user-typing")
    carol = await edge.client("carol")
    another = await edge.client("alice")
    await eventually(lambda: seen(carol) == [True, False])
    assert seen(bob) == [True, False]
    assert seen(another) == []


async def test_who_is_removed_types_no_more(edge: Edge, chat: ScaffoldChat) -> None:
    alice, bob = await edge.client("alice"), await edge.client("bob")
    await type_in(alice)
    await bob.next("user-typing")
    removed = MemberRemoved(actor_id="bob", user_id="alice")
    await chat.publish(ChatEvent(chat_id=CHAT, epoch=1, seq=1, member_removed=removed))
    await bob.next("member-removed")
    assert seen(bob) == [True, False]


async def test_who_gives_no_id_gets_no_answer_no_error_either(edge: Edge) -> None:
    alice = await edge.client("alice")
    await alice.send("typing", chatId="d" * 24, isTyping=True)
    await alice.send("typing", chatId=CHAT, isTyping=True)
    refused = await alice.ask("typing", chatId="d" * 24, isTyping=True)
    assert refused["data"]["code"] == "NOT_A_MEMBER"
    assert [frame["event"] for frame in alice.frames] == ["welcome", "error"]


async def test_who_gives_no_id_gets_no_error_over_the_budget_either(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_frames_per_second=0.1, edge_frames_burst=10)
    alice = await edge.client("alice")
    for _ in range(12):
        await alice.send("typing", chatId=CHAT, isTyping=True)
    refused = await alice.ask("typing", chatId=CHAT, isTyping=True)
    assert refused["data"]["code"] == "RATE_LIMITED"
    assert [frame["event"] for frame in alice.frames] == ["welcome", "error"]
