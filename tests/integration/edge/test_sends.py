"""The batched way of messages to chat_service."""

import asyncio
from typing import Any

import pytest

from mesh.errors import unavailable
from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

BOTH_FORMS = True  # of the protocol

CHAT = "c" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}


async def _send(client: Client, number: int, content: str = "hello") -> None:
    await client.send(
        "send-message", number, chatId=CHAT, content=content, type="text", clientMsgId=f"id-{number}"
    )


async def test_what_waits_goes_in_one_call_and_every_item_has_its_answer(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    gate = chat.gates["SendMessages"] = asyncio.Event()
    await _send(alice, 0)
    await asyncio.wait_for(chat.entered["SendMessages"].wait(), 30)
    for number in range(1, 101):
        await _send(alice, number)
    # An answer to what came behind the messages: all of them are in the queue now.
    await alice.ask("leave-chats", "sync", chatIds=["d" * 24])
    gate.set()
    await eventually(lambda: len(alice.all("ack")) == 102)
    assert chat.batches == [1, 64, 36]
    acks = {frame["id"]: frame["data"] for frame in alice.frames if frame["event"] == "ack"}
    assert [acks[number]["seq"] for number in range(101)] == list(range(1, 102))


async def test_a_call_carries_no_more_bytes_than_chat_service_takes(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    gate = chat.gates["SendMessages"] = asyncio.Event()
    await _send(alice, 0)
    await asyncio.wait_for(chat.entered["SendMessages"].wait(), 30)
    for number in range(1, 26):
        await _send(alice, number, "x" * 100_000)
    await alice.ask("leave-chats", "sync", chatIds=["d" * 24])
    gate.set()
    await eventually(lambda: len(alice.all("ack")) == 27)
    assert chat.batches == [1, 10, 10, 5]


async def test_mentions_go_with_the_message(edge: Edge) -> None:
    alice = await edge.client("alice")
    ask = {"chatId": CHAT, "content": "x", "clientMsgId": "m", "mentions": ["bob", "Zoë"]}
    assert (await alice.ask("send-message", 1, **ask))["event"] == "ack"
    await eventually(lambda: [m["mentions"] for m in alice.all("new-message")] == [["bob", "Zoë"]])


async def test_how_far_the_sender_has_read_goes_with_the_message_or_is_left_open(
    edge: Edge, chat: ScaffoldChat
) -> None:
    alice = await edge.client("alice")
    reads: list[dict[str, Any]] = [{}, {"readSeq": None}, {"readSeq": 0}, {"readSeq": 7}]
    for number, read in enumerate(reads):
        ask = {"chatId": CHAT, "content": "x", "clientMsgId": f"m-{number}", **read}
        assert (await alice.ask("send-message", number, **ask))["event"] == "ack"
    said = [item.read_seq if item.HasField("read_seq") else None for item in chat.items]
    assert said == [None, None, 0, 7]
    beyond = {"chatId": CHAT, "content": "x", "clientMsgId": "m", "readSeq": 2**53 + 1}
    refused = await alice.ask("send-message", 9, **beyond)
    assert (refused["data"]["code"], "data.readSeq" in refused["data"]["message"]) == (
        "INVALID_ARGUMENT",
        True,
    )


async def test_a_repeat_gets_the_first_answer(edge: Edge) -> None:
    alice = await edge.client("alice")
    ask = {"chatId": CHAT, "content": "x", "type": "text", "clientMsgId": "same"}
    first = await alice.ask("send-message", 1, **ask)
    again = await alice.ask("send-message", 2, **ask)
    assert again["data"] == {**first["data"], "duplicate": True}
    assert len(alice.all("new-message")) == 1


async def test_an_outage_is_a_retryable_error_and_the_next_send_works(edge: Edge, chat: ScaffoldChat) -> None:
    alice = await edge.client("alice")
    chat.failures["SendMessages"] = unavailable("redis")
    refused = await alice.ask("send-message", 1, chatId=CHAT, content="x", type="text", clientMsgId="a")
    assert refused["event"] == "error"
    assert (refused["data"]["code"], refused["data"]["retryable"]) == ("UNAVAILABLE", True)
    chat.failures.clear()
    accepted = await alice.ask("send-message", 2, chatId=CHAT, content="x", type="text", clientMsgId="a")
    assert accepted["event"] == "ack"


async def test_a_full_queue_says_overloaded_at_once(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    edge = await start_edge(edge_send_lanes=1, edge_send_queue=3)
    alice = await edge.client("alice")
    gate = chat.gates["SendMessages"] = asyncio.Event()
    await _send(alice, 0)
    await asyncio.wait_for(chat.entered["SendMessages"].wait(), 30)
    for number in range(1, 6):
        await _send(alice, number)
    overloaded = [await alice.next("error"), await alice.next("error")]
    assert [frame["id"] for frame in overloaded] == [4, 5]
    assert {frame["data"]["code"] for frame in overloaded} == {"OVERLOADED"}
    gate.set()
    await eventually(lambda: len(alice.all("ack")) == 4)


async def test_commands_before_the_welcome_wait_for_it(edge: Edge, chat: ScaffoldChat) -> None:
    gate = chat.gates["OpenSession"] = asyncio.Event()
    alice = await edge.dial("alice")
    await _send(alice, 1)
    await asyncio.wait_for(chat.entered["OpenSession"].wait(), 30)
    gate.set()
    await alice.next(lambda frame: frame.get("id") == 1)
    assert alice.frames[0]["event"] == "welcome"
    assert sorted(frame["event"] for frame in alice.frames[1:]) == ["ack", "new-message"]
