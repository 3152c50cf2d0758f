"""Bad input gets its documented error or close code, and nobody else notices."""

import asyncio
import base64
import json
import os

import pytest

from tests.integration.edge.conftest import Client, Edge, StartEdge, token
from tests.integration.edge.scaffold import ScaffoldChat

CHAT = "c" * 24


@pytest.fixture
async def alice(edge: Edge, chat: ScaffoldChat) -> Client:
    chat.members[CHAT] = {"alice", "bob"}
    return await edge.client("alice")


async def _still_works(client: Client) -> None:
    answer = await client.ask(
        "send-message", "last", chatId=CHAT, content="hello", type="text", clientMsgId=os.urandom(8).hex()
    )
    assert answer["event"] == "ack"


def _mentioning(mentions: str) -> str:
    data = f'{{"chatId":"{CHAT}","content":"x","clientMsgId":"k","mentions":{mentions}}}'
    return f'{{"event":"send-message","id":"a","data":{data}}}'


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        '{"event":' + "[" * 60_000,
        '{"event":"typing","x":' + "[" * 60_000,
        '{"event":"typing","data":' + "[" * 60_000,
        '{"event":"typing","data":{"x":' + "[" * 60_000,
        '{"event":"typing","data":{"x":' + "[" * 50_000 + "]" * 50_000 + "}}",
        '{"event":5,"id":' + "[" * 60_000,
        '{"event":"typing","data":' + '{"a":' * 20_000,
        r'{"event":"\ud800"}',
        r'{"event":"typing","id":"\ud800"}',
        r'{"\ud800":1,"event":"typing"}',
        r'{"event":"refresh-token","data":{"token":"\ud800"}}',
        r'{"event":"refresh-token","data":{"token":"W1tbW1tbW1tbW1tbW1tbW1tbW1s.e30.x"}}',
    ],
)
async def test_hostile_json_is_refused_and_the_connection_goes_on(alice: Client, text: str) -> None:
    await alice.connection.send(text)
    error = (await alice.next("error"))["data"]
    assert error["code"] in {"MALFORMED_FRAME", "INVALID_ARGUMENT", "INVALID_TOKEN"}
    assert not error["retryable"]
    await _still_works(alice)


@pytest.mark.parametrize(
    ("text", "code", "frame_id", "names"),
    [
        ("", "MALFORMED_FRAME", None, ""),
        ("{", "MALFORMED_FRAME", None, ""),
        ("[1]", "MALFORMED_FRAME", None, ""),
        ('{"id":"a"}', "INVALID_ARGUMENT", "a", "event"),
        ('{"event":"fly","id":"a"}', "UNKNOWN_EVENT", "a", ""),
        ('{"event":"typing","id":7}', "INVALID_ARGUMENT", 7, "chatId"),
        (
            '{"event":"typing","id":7,"data":{"chatId":"x","isTyping":true}}',
            "INVALID_ARGUMENT",
            7,
            "data.chatId: Expected `str` of 24 lower-case hexadecimal digits",
        ),
        ('{"event":"join-chats","id":"a","data":{"chatIds":[]}}', "INVALID_ARGUMENT", "a", "data.chatIds"),
        (
            '{"event":"join-chats","id":"a","data":{"chatIds":[5]}}',
            "INVALID_ARGUMENT",
            "a",
            "data.chatIds[0]",
        ),
        (
            _mentioning('"bob"'),
            "INVALID_ARGUMENT",
            "a",
            "data.mentions: Expected `array`",
        ),
        (
            _mentioning('["bob","bob"]'),
            "INVALID_ARGUMENT",
            "a",
            "each of mentions may be there once",
        ),
        (
            json.dumps(
                {
                    "event": "send-message",
                    "id": "a",
                    "data": {"chatId": CHAT, "content": "x", "clientMsgId": "m", "readSeq": -1},
                }
            ),
            "INVALID_ARGUMENT",
            "a",
            "data.readSeq: Expected `int` >= 0",
        ),
        ('{"event":"typing","id":"a","data":' + "[" * 9000 + "}", "MALFORMED_FRAME", None, ""),
        (
            r'{"event":"typing","id":7,"data":{"chatId":"\ud83d"}}',
            "INVALID_ARGUMENT",
            7,
            "data.chatId: Holds half",
        ),
        (_mentioning(r'["bob","\ude00"]'), "INVALID_ARGUMENT", "a", "data.mentions[1]: Holds half"),
        (r'{"event":"fly","id":"a","x":"\ud83d"}', "INVALID_ARGUMENT", "a", "x: Holds half"),
        (r'{"event":"fly","id":"\ud83d"}', "INVALID_ARGUMENT", None, "id: Holds half"),
    ],
)
async def test_a_bad_frame_gets_its_error(
    alice: Client, text: str, code: str, frame_id: str | int | None, names: str
) -> None:
    await alice.connection.send(text)
    frame = await alice.next("error")
    assert frame["id"] == frame_id
    assert frame["data"]["code"] == code
    assert frame["data"]["retryable"] is False
    assert names in frame["data"]["message"]
    await _still_works(alice)


async def test_violations_of_the_protocol_close_with_the_code_that_names_them(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_max_frame_bytes=2048)
    chat.members[CHAT] = {"alice", "bob"}
    bob = await edge.client("bob")

    oversized = await edge.client("alice")
    await oversized.connection.send("x" * 2049)
    assert await oversized.close_code() == 1009

    in_parts = await edge.client("alice")
    await in_parts.connection.send(["x" * 1000, "x" * 1000, "x" * 1000])
    assert await in_parts.close_code() == 1009

    not_utf8 = await edge.client("alice")
    await not_utf8.connection.send(b'{"event":"\xff"}', text=True)
    assert await not_utf8.close_code() == 1007

    binary = await edge.client("alice")
    await binary.connection.send(b"\x00\x01")
    assert await binary.close_code() == 1003

    await _still_works(bob)


async def test_a_message_in_fragments_is_one_message(alice: Client) -> None:
    text = json.dumps({"event": "fly", "id": "é"}, ensure_ascii=False).encode()
    middle = text.index("é".encode()) + 1  # in the middle of a character
    await alice.connection.send([text[:middle], text[middle:]], text=True)
    frame = await alice.next("error")
    assert frame["id"] == "é"


async def test_an_unmasked_frame_is_a_protocol_error(edge: Edge) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET /ws?token={token('alice')} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    # The frame comes right behind the request, before the answer: it must not be lost.
    writer.write(request.encode() + b"\x81\x02{}")
    received = await asyncio.wait_for(reader.readuntil(b"break RFC 6455"), 30)
    assert (1002).to_bytes(2) in received
    writer.close()
    await writer.wait_closed()


async def test_frames_beyond_the_budget_are_refused_and_a_flood_ends_the_connection(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_frames_per_second=0.5, edge_frames_burst=5)
    chat.members[CHAT] = {"alice", "bob"}
    bob = await edge.client("bob")
    alice = await edge.client("alice")
    for number in range(12):
        await alice.send("mark-chat-read", number, chatId=CHAT)
    assert await alice.close_code() == 4008
    refused = [frame for frame in alice.frames if frame["event"] == "error"]
    ids = [frame["id"] for frame in refused]
    # The budget grows a little while the frames arrive: the flood is the tenth frame or one soon after.
    assert ids == list(range(5, 5 + len(ids)))
    assert 4 <= len(ids) <= 6
    assert {frame["data"]["code"] for frame in refused} == {"RATE_LIMITED"}
    assert all(frame["data"]["retryable"] and frame["data"]["retryAfterMs"] > 1000 for frame in refused)
    await _still_works(bob)


async def test_a_large_frame_costs_as_much_as_several(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    edge = await start_edge(edge_frames_per_second=0.1, edge_frames_burst=10, edge_frame_bytes=1024)
    chat.members[CHAT] = {"alice", "bob"}
    alice = await edge.client("alice")
    frame = {"chatId": CHAT, "content": "x" * 5_500}  # 6 of the 10
    assert (await alice.ask("send-message", 1, clientMsgId="1", **frame))["event"] == "ack"
    refused = await alice.ask("send-message", 2, clientMsgId="2", **frame)
    assert refused["data"]["code"] == "RATE_LIMITED"
    assert refused["data"]["retryAfterMs"] > 10_000  # 2 more tokens
    for number in range(4):
        assert (await alice.ask("mark-chat-read", number + 3, chatId=CHAT))["event"] == "ack"
    await alice.send("send-message", 9, clientMsgId="9", **frame)
    assert await alice.close_code() == 4008


async def test_what_is_not_the_users_is_refused(alice: Client, chat: ScaffoldChat) -> None:
    foreign = "f" * 24
    chat.members[foreign] = {"carol"}
    message = await alice.ask("send-message", chatId=foreign, content="x", type="text", clientMsgId="1")
    typing = await alice.ask("typing", chatId=foreign, isTyping=True)
    read = await alice.ask("mark-chat-read", chatId=foreign)
    for answer in (message, typing, read):
        assert (answer["event"], answer["data"]["code"]) == ("error", "NOT_A_MEMBER")
    joined = await alice.ask("join-chats", chatIds=[foreign, CHAT])
    assert [head["chatId"] for head in joined["data"]["chats"]] == [CHAT]
    assert [(item["chatId"], item["error"]["code"]) for item in joined["data"]["errors"]] == [
        (foreign, "NOT_A_MEMBER")
    ]
    await chat.say(foreign, "carol", "secret")
    await chat.say(CHAT, "bob", "open")
    assert (await alice.next("new-message"))["data"]["content"] == "open"
