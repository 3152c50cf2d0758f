"""The subprotocol `parley.v1.protobuf`, where it is not the same as JSON in other bytes.

What is the same is tried in both forms: where a module of these tests says `BOTH_FORMS`.
"""

import asyncio
from typing import Any

import pytest

from edge.protocol.codec import BINARY, JSON
from parley.edge.v1.command_pb2 import ClientFrame, Cursor, JoinChats, Resume, SendMessage
from parley.edge.v1.frame_id_pb2 import FrameId
from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.declared_json import client_frame
from tests.support.polling import eventually

CHAT = "c" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}


@pytest.fixture
def subprotocol() -> str:
    return BINARY.subprotocol


@pytest.fixture
async def alice(edge: Edge) -> Client:
    return await edge.client("alice")


def frame(event: str, frame_id: Any = "q", **data: Any) -> bytes:
    return client_frame({"event": event, "id": frame_id, "data": data})


async def test_both_forms_meet_in_one_room(edge: Edge, alice: Client) -> None:
    bob = await edge.dial("bob", subprotocols=[JSON.subprotocol])
    await bob.next("welcome")
    for sender, number in ((alice, 1), (bob, 2), (alice, 3)):
        ask = {"chatId": CHAT, "content": f"número {number} 👋", "clientMsgId": f"m-{number}"}
        assert (await sender.ask("send-message", number, **ask))["event"] == "ack"
    await eventually(
        lambda: all(len(client.all("new-message")) == 3 for client in (alice, bob)), "both have all"
    )
    assert alice.all("new-message") == bob.all("new-message")


@pytest.mark.parametrize("frame_id", ["", "é" * 64, 0, -(2**53), 2**53, None])
async def test_an_answer_repeats_the_id(alice: Client, frame_id: Any) -> None:
    await alice.send("mark-chat-read", frame_id, chatId=CHAT)
    answer = await alice.next("ack")
    assert (answer["id"], answer["data"]["chatId"]) == (frame_id, CHAT)


@pytest.mark.parametrize(
    ("payload", "code", "frame_id", "names"),
    [
        (b"\xff\xff", "MALFORMED_FRAME", None, "ClientFrame"),
        (b'{"event":"typing"}', "MALFORMED_FRAME", None, "ClientFrame"),
        (frame("mark-chat-read", chatId=CHAT)[:-3], "MALFORMED_FRAME", None, "ClientFrame"),
        (b"", "UNKNOWN_EVENT", None, "known are: join-chats"),
        (ClientFrame(id=FrameId(number=7)).SerializeToString(), "UNKNOWN_EVENT", 7, "known are"),
        (frame("typing", "a", chatId="x"), "INVALID_ARGUMENT", "a", "data.chatId: Expected `str` of 24"),
        (frame("typing", "a"), "INVALID_ARGUMENT", "a", "data.chatId"),
        (frame("join-chats", "a", chatIds=[]), "INVALID_ARGUMENT", "a", "data.chatIds"),
        (frame("join-chats", "a", chatIds=[CHAT, "x"]), "INVALID_ARGUMENT", "a", "data.chatIds[1]"),
        (frame("resume", "a", chats=[{"chatId": CHAT, "seq": 1}] * 2), "INVALID_ARGUMENT", "a", "once"),
        (frame("refresh-token", "a", token=""), "INVALID_ARGUMENT", "a", "data.token"),
        (frame("mark-chat-read", "x" * 65, chatId=CHAT), "INVALID_ARGUMENT", None, "id: "),
        (frame("mark-chat-read", 2**53 + 1, chatId=CHAT), "INVALID_ARGUMENT", None, "id: "),
    ],
)
async def test_a_bad_message_gets_its_error_and_the_connection_goes_on(
    alice: Client, payload: bytes, code: str, frame_id: Any, names: str
) -> None:
    await alice.connection.send(payload)
    answer = await alice.next("error")
    assert (answer["id"], answer["data"]["code"]) == (frame_id, code)
    assert names in answer["data"]["message"]
    assert (await alice.ask("mark-chat-read", "still", chatId=CHAT))["event"] == "ack"


HOSTILE = 60_000  # of the smallest things that a message may hold


@pytest.mark.parametrize(
    "payload",
    [
        ClientFrame(resume=Resume(chats=[Cursor()] * HOSTILE)).SerializeToString(),
        ClientFrame(join_chats=JoinChats(chat_ids=[""] * HOSTILE)).SerializeToString(),
        ClientFrame(send_message=SendMessage(mentions=[""] * HOSTILE)).SerializeToString(),
        b"\xfb\x7f" * HOSTILE,  # groups in groups
        b"\xf8\x7f\x00" * (HOSTILE // 2),  # fields that nobody knows
        b"\x42\x00" * HOSTILE,  # the same command again and again
        b"\x2a\xff\xff\xff\xff\x0f",  # a command of 4 GiB, it says
    ],
    ids=["cursors", "ids", "mentions", "groups", "fields", "commands", "length"],
)
async def test_a_hostile_message_is_refused_and_the_connection_goes_on(alice: Client, payload: bytes) -> None:
    await alice.connection.send(payload)
    error = (await alice.next("error"))["data"]
    assert error["code"] in {"MALFORMED_FRAME", "INVALID_ARGUMENT", "UNKNOWN_EVENT"}
    assert (await alice.ask("mark-chat-read", "still", chatId=CHAT))["event"] == "ack"


async def test_an_unknown_type_of_message_is_refused_by_its_number(alice: Client) -> None:
    asked = ClientFrame.FromString(frame("send-message", "a", chatId=CHAT, content="x", clientMsgId="m"))
    payload = asked.SerializeToString()
    with_type = ClientFrame.FromString(payload)
    with_type.send_message.MergeFromString(b"\x20\x63")  # type = 99
    await alice.connection.send(with_type.SerializeToString())
    answer = await alice.next("error")
    assert (answer["id"], answer["data"]["code"]) == ("a", "INVALID_ARGUMENT")
    assert "data.type: Invalid enum value '99'" in answer["data"]["message"]


async def test_what_a_later_version_adds_is_ignored(alice: Client) -> None:
    later = b"\xfa\x7f\x03abc"  # field 2047, which nobody has yet
    await alice.connection.send(frame("mark-chat-read", "a", chatId=CHAT) + later)
    assert (await alice.next("ack"))["id"] == "a"


async def test_a_message_in_fragments_is_one_message(alice: Client) -> None:
    payload = frame("mark-chat-read", "parts", chatId=CHAT)
    await alice.connection.send([payload[:5], payload[5:6], payload[6:]])
    assert (await alice.next("ack"))["id"] == "parts"


async def test_text_where_bytes_are_due_ends_the_connection(alice: Client) -> None:
    await alice.connection.send("{}")
    assert await alice.close_code() == 1003


async def test_pings_are_answered(alice: Client) -> None:
    pong = await alice.connection.ping()
    await asyncio.wait_for(pong, 30)


async def test_what_is_beyond_the_budget_is_refused_by_its_id(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_frames_per_second=1, edge_frames_burst=1)
    alice = await edge.client("alice")
    for number in range(2):
        await alice.send("mark-chat-read", number, chatId=CHAT)
    refused = await alice.next("error")
    assert (refused["id"], refused["data"]["code"]) == (1, "RATE_LIMITED")
    assert refused["data"]["retryAfterMs"] > 0


async def test_the_end_has_its_reason(alice: Client) -> None:
    await alice.connection.send(b"x" * (129 * 1024))
    assert await alice.close_code() == 1009
    assert alice.connection.close_reason == "a message is larger than the limit"
