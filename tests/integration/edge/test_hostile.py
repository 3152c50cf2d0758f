"""Clients that read slowly, drip, hang or come in crowds; the others notice nothing."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from edge.metrics import THINNED
from tests.integration.edge.conftest import Edge, StartEdge, token
from tests.integration.edge.scaffold import ScaffoldChat
from tests.integration.edge.test_delivery import SlowReader, raw_client
from tests.support.polling import eventually

CHAT = "c" * 24


@pytest.fixture(autouse=True)
def memberships(chat: ScaffoldChat) -> None:
    chat.members[CHAT] = {"alice", "bob"}


async def _refused(edge: Edge, **headers: str) -> tuple[int, str, int]:
    """Status, code and Retry-After of a handshake that is turned away."""
    with pytest.raises(InvalidStatus) as caught:
        await edge.dial("alice", additional_headers={"Authorization": f"Bearer {token('alice')}", **headers})
    response = caught.value.response
    code = json.loads(response.body or b"")["error"]["code"]
    return response.status_code, code, int(response.headers["Retry-After"])


async def test_a_slow_client_gets_every_message_and_the_latest_of_the_rest(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge()
    alice = await edge.client("alice")
    slow = await raw_client(edge, "bob")
    before = THINNED._value.get()
    said = 0
    while THINNED._value.get() < before + 20:
        if THINNED._value.get() == before:  # the kernel still takes everything
            await chat.say(CHAT, "alice", *["y" * 4000] * 10)
            said += 10
        await chat.presence("carol", [CHAT], online=True)
        await chat.presence("carol", [CHAT], online=False)
        await alice.ask("leave-chats", chatIds=["e" * 24])
    await chat.say(CHAT, "alice", "last")
    loop = asyncio.get_running_loop()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    reader = SlowReader()
    async with asyncio.timeout(30):
        while not (reader.texts and b'"last"' in b"".join(reader.texts[-3:])):
            reader.feed(await loop.sock_recv(slow, 65536))
        await chat.say(CHAT, "alice", "behind it all")
        while not any(b"behind it all" in text for text in reader.texts):
            reader.feed(await loop.sock_recv(slow, 65536))
    slow.close()
    frames = [json.loads(text) for text in reader.texts]
    seqs = [frame["data"]["seq"] for frame in frames if frame["event"] == "new-message"]
    assert seqs == list(range(1, said + 3))
    told = [frame["event"] for frame in frames if frame["event"].startswith("user-")]
    assert told[-1] == "user-offline"
    assert len(told) < len(alice.all("user-online")) + len(alice.all("user-offline")) - 15


async def test_too_many_handshakes_under_way_are_turned_away(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_handshakes_at_once=3)
    gate = chat.gates["OpenSession"] = asyncio.Event()
    waiting = [await edge.dial("alice") for _ in range(3)]
    status, code, retry_after = await _refused(edge)
    assert (status, code) == (503, "OVERLOADED")
    assert 1 <= retry_after <= 4
    gate.set()
    for client in waiting:
        await client.next("welcome")
    await edge.client("alice")


async def test_a_flood_of_handshakes_leaves_the_connected_alone(
    start_edge: StartEdge, chat: ScaffoldChat
) -> None:
    edge = await start_edge(edge_handshakes_per_second=10.0)
    alice = await edge.client("alice")
    results: list[str] = []

    async def knock() -> None:
        try:
            await edge.dial("bob")
            results.append("in")
        except InvalidStatus as refused:
            results.append(str(refused.response.status_code))

    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(knock())
        for number in range(20):
            await chat.say(CHAT, "bob", str(number))
            await alice.next("new-message")
    took = time.monotonic() - started
    let_in = results.count("in")
    assert set(results) == {"in", "503"}
    assert let_in <= 10 + 10 * took
    # What was turned away left nothing behind: one second later there is room again.
    async with asyncio.timeout(30):
        while True:
            try:
                await edge.dial("carol")
                break
            except InvalidStatus:
                await asyncio.sleep(0.05)


async def test_one_address_behind_a_trusted_proxy_has_its_own_limit(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_connections_per_address=2, edge_trusted_proxies="127.0.0.0/8")

    async def dial(address: str) -> Any:
        headers = {"Authorization": f"Bearer {token('alice')}", "X-Forwarded-For": f"9.9.9.9, {address}"}
        return await edge.dial("alice", additional_headers=headers)

    first, _ = await dial("192.0.2.1"), await dial("192.0.2.1")
    assert (await _refused(edge, **{"X-Forwarded-For": "192.0.2.1"}))[:2] == (429, "TOO_MANY_CONNECTIONS")
    await dial("192.0.2.2")
    await first.next("welcome")
    await first.close()

    async def back() -> None:
        while True:
            try:
                await dial("192.0.2.1")
            except InvalidStatus:
                await asyncio.sleep(0.02)
            else:
                return

    await asyncio.wait_for(back(), 30)


async def test_connections_of_an_address_count_from_accept_on_until_a_websocket_ends(
    start_edge: StartEdge,
) -> None:
    edge = await start_edge(edge_connections_per_address=3)
    silent = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(2)]
    alice = await edge.client("alice")
    assert (await _refused(edge))[:2] == (429, "TOO_MANY_CONNECTIONS")
    await alice.close()

    await eventually(lambda: not edge.chat.sessions)
    await edge.client("alice")
    assert (await _refused(edge))[:2] == (429, "TOO_MANY_CONNECTIONS")
    for _, writer in silent:
        writer.close()


async def test_connections_without_a_request_make_room_for_users(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_connections=4)
    silent = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(20)]
    for user in ("alice", "bob", "carol", "dave"):
        await edge.client(user)
    assert (await _refused(edge))[:2] == (503, "OVERLOADED")
    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()


async def _end_of(peer: socket.socket) -> None:
    """Returns when the server has ended the connection."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(peer, 4096):
            pass
    except ConnectionResetError:
        pass


async def _drip(peer: socket.socket, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    for byte in data:
        await loop.sock_sendall(peer, bytes([byte]))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("request_text", [b"", b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 2000])
async def test_a_request_that_does_not_arrive_is_cut_off(start_edge: StartEdge, request_text: bytes) -> None:
    edge = await start_edge(edge_request_seconds=0.5)
    peer = socket.socket()
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", edge.port))
    dripping = asyncio.create_task(_drip(peer, request_text))
    await asyncio.wait_for(_end_of(peer), 30)  # the bytes would go on for 100 s
    dripping.cancel()
    await asyncio.wait((dripping,))
    peer.close()
    await edge.client("alice")


async def test_a_frame_that_drips_in_is_no_sign_of_life(start_edge: StartEdge, chat: ScaffoldChat) -> None:
    edge = await start_edge(edge_heartbeat_seconds=0.5)
    alice = await edge.client("alice")
    peer = await raw_client(edge, "bob")
    frame = bytes((0x81, 0x80 | 126)) + (1000).to_bytes(2) + bytes(4) + b"x" * 1000
    dripping = asyncio.create_task(_drip(peer, frame))
    await asyncio.wait_for(_end_of(peer), 30)
    dripping.cancel()
    await asyncio.wait((dripping,))
    peer.close()
    await eventually(lambda: list(chat.sessions.values()) == ["alice"])
    assert alice.connection.close_code is None


async def test_two_connections_with_one_token_are_two_connections(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {token('alice')}"}
    one, two = [await edge.dial("alice", additional_headers=headers) for _ in range(2)]
    ids = {(await client.next("welcome"))["data"]["connectionId"] for client in (one, two)}
    assert len(ids) == 2
    frame = {"chatId": CHAT, "content": "x", "clientMsgId": "same"}
    answers = [await client.ask("send-message", **frame) for client in (one, two)]
    assert [answer["data"]["duplicate"] for answer in answers] == [False, True]
    assert answers[0]["data"]["messageId"] == answers[1]["data"]["messageId"]
