"""What a client sends has a price in bytes and frames; how it cuts its messages has none of its own."""

import asyncio
import json
import os
import socket

from edge.metrics import THINNED
from edge.websocket.connection import FRAME_PRICE
from tests.integration.edge.conftest import Client, Edge, StartEdge
from tests.integration.edge.scaffold import ScaffoldChat
from tests.integration.edge.test_delivery import SlowReader, raw_client

CHAT = "c" * 24
_MORE_THAN_A_BURST = 8 * 256 * 1024


def _frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A client's frame of at most 125 bytes, masked with zeros."""
    return bytes(((0x80 if final else 0) | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def _resume(count: int) -> list[str]:
    """A resume of `count` chats, as the pieces that the standard library's encoder makes of it."""
    chats = [{"chatId": f"{number:024x}", "seq": number, "epoch": 1} for number in range(count)]
    return list(json.JSONEncoder().iterencode({"event": "resume", "id": "r", "data": {"chats": chats}}))


async def test_a_message_may_come_in_any_number_of_fragments(edge: Edge) -> None:
    alice = await edge.client("alice")
    for count in (100, 1000):
        pieces = _resume(count)
        assert len(pieces) > 12 * count
        await alice.connection.send(pieces)
        answer = await alice.next(lambda frame: frame.get("id") == "r")
        assert answer["event"] == "ack"
        assert len(answer["data"]["errors"]) == count  # the chats are not hers


async def test_fragments_without_end_are_paid_for(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_bytes_burst=256 * 1024, edge_bytes_per_second=16 * 1024)
    peer = await raw_client(edge, "bob")
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(peer, _frame(1, b'{"x":"', final=False))
    await loop.sock_sendall(peer, _frame(0, final=False) * (_MORE_THAN_A_BURST // FRAME_PRICE))
    assert await _close_code(peer) == 4008


async def test_bytes_are_paid_for(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_bytes_burst=256 * 1024, edge_bytes_per_second=16 * 1024)
    alice, bob = await edge.client("alice"), await edge.client("bob")
    for number in range(8):
        await alice.send("fly", number, text="x" * 60_000)
    assert await alice.close_code() == 4008
    assert [frame["id"] for frame in alice.frames if frame["event"] == "error"] == [0, 1, 2, 3]
    assert (await bob.ask("fly"))["data"]["code"] == "UNKNOWN_EVENT"


async def test_pings_are_paid_for(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_bytes_burst=256 * 1024, edge_bytes_per_second=16 * 1024)
    peer = await raw_client(edge, "bob")
    await asyncio.get_running_loop().sock_sendall(peer, _frame(9) * (_MORE_THAN_A_BURST // FRAME_PRICE))
    assert await _close_code(peer) == 4008


async def test_who_is_over_the_rate_still_gets_pongs(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    edge = await start_edge(edge_frames_per_second=0.5, edge_frames_burst=5)
    chat.members[CHAT] = {"alice"}
    alice = await edge.client("alice")
    for number in range(7):
        await alice.send("mark-chat-read", number, chatId=CHAT)
    refused = await alice.next("error")
    assert refused["data"]["code"] == "RATE_LIMITED"
    for _ in range(20):
        await _answered(alice, os.urandom(8))
    assert alice.connection.close_code is None


async def test_of_pings_that_nobody_reads_the_answers_to_the_latest_is_kept(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_max_buffer_bytes=256 * 1024)
    chat.members[CHAT] = {"alice", "bob"}
    alice = await edge.client("alice")
    slow = await raw_client(edge, "bob")
    loop = asyncio.get_running_loop()
    before = THINNED._value.get()
    while THINNED._value.get() < before + 2:  # until the edge has noticed that he does not read
        if THINNED._value.get() == before:
            await chat.say(CHAT, "alice", *["y" * 4000] * 5)
        await chat.presence("carol", [CHAT], online=True)
        await chat.presence("carol", [CHAT], online=False)
        await alice.ask("leave-chats", chatIds=["e" * 24])
    pings = [number.to_bytes(125) for number in range(4000)]  # half a megabyte, twice what may wait for him
    await loop.sock_sendall(slow, b"".join(_frame(9, payload) for payload in pings))
    await loop.sock_sendall(
        slow, _frame(1, json.dumps({"event": "mark-chat-read", "data": {"chatId": CHAT}}).encode())
    )
    await alice.next("chat-read")  # so the edge has taken all pings
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    reader = SlowReader()
    async with asyncio.timeout(30):
        while pings[-1] not in reader.pongs:
            reader.feed(await loop.sock_recv(slow, 65536))
    slow.close()
    assert reader.pongs == pings[-1:]


async def _answered(client: Client, payload: bytes) -> None:
    await asyncio.wait_for(await client.connection.ping(payload), 30)


async def _close_code(peer: socket.socket) -> int:
    """Reads to the end; gives the code of the close frame before it."""
    loop = asyncio.get_running_loop()
    received = b""
    async with asyncio.timeout(30):
        while data := await loop.sock_recv(peer, 65536):
            received += data
    peer.close()
    at = received.rindex(b"far too many") - 4
    assert received[at] == 0x88
    return int.from_bytes(received[at + 2 : at + 4])
