"""TLS at the edge itself: `https` and `wss`, slow readers, hostile handshakes, certificates that change."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from edge import metrics
from edge.tls import CertificateFiles
from edge.tls import renew as follow
from tests.integration.edge.conftest import Client, Edge, StartEdge, token
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.authority import Authority
from tests.support.polling import eventually

CHAT = "c" * 24


def install(authority: Authority, where: Path) -> CertificateFiles:
    """A new certificate and its key, in the two files that the edge is told."""
    key, _, certificate = authority.issue("localhost").read_text().partition("-----BEGIN CERTIFICATE-----")
    (where / "tls.crt").write_text(f"-----BEGIN CERTIFICATE-----{certificate}")
    (where / "tls.key").write_text(key)
    return CertificateFiles(where / "tls.crt", where / "tls.key")


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> CertificateFiles:
    return install(authority, tmp_path)


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """What a client checks the edge's certificate with."""
    return ssl.create_default_context(cafile=authority.ca_file)


@pytest.fixture
def renew(authority: Authority, tmp_path: Path) -> Callable[[], object]:
    """Puts a new certificate in the place of the one before."""
    return partial(install, authority, tmp_path)


@pytest.fixture
def start_tls(start_edge: StartEdge, files: CertificateFiles) -> StartEdge:
    """Starts edges that speak TLS alone."""
    return partial(start_edge, edge_tls_cert_file=files.certificate, edge_tls_key_file=files.key)


@pytest.fixture
async def edge(start_tls: StartEdge) -> Edge:
    """One with ordinary settings."""
    return await start_tls()


Dial = Callable[..., Any]


@pytest.fixture
async def dial(trusting: ssl.SSLContext) -> AsyncIterator[Dial]:
    """Opens WebSockets by `wss`."""
    opened: list[Client] = []

    async def open_client(edge: Edge, user_id: str, **options: Any) -> Client:
        client = Client(
            await connect(
                f"wss://localhost:{edge.port}/ws",
                ssl=options.pop("ssl", trusting),
                additional_headers={"Authorization": f"Bearer {token(user_id)}"},
                compression=None,
                ping_interval=None,
                **options,
            )
        )
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        await client.close()


async def welcomed(client: Client) -> Client:
    client.start()
    await client.next("welcome")
    return client


async def test_a_conversation_by_wss(edge: Edge, chat: ScaffoldChat, dial: Dial) -> None:
    chat.members[CHAT] = {"alice", "bob"}
    alice, bob = await welcomed(await dial(edge, "alice")), await welcomed(await dial(edge, "bob"))
    for number in range(50):
        answer = await alice.ask(
            "send-message", number, chatId=CHAT, content=f"message {number}", clientMsgId=f"k{number}"
        )
        assert answer["event"] == "ack"
    await eventually(lambda: len(bob.all("new-message")) == 50)
    assert [data["seq"] for data in bob.all("new-message")] == list(range(1, 51))
    await alice.close()
    assert alice.connection.close_code == 1000
    await eventually(lambda: len(chat.closed) == 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_large_frames_go_both_ways(
    start_tls: StartEdge, chat: ScaffoldChat, dial: Dial, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    edge = await start_tls(edge_max_frame_bytes=1 << 20)
    trusting.minimum_version = trusting.maximum_version = version
    chat.members[CHAT] = {"alice"}
    alice = await welcomed(await dial(edge, "alice"))
    content = "0123456789" * 20_000
    answer = await alice.ask("send-message", chatId=CHAT, content=content, clientMsgId="k")
    assert answer["event"] == "ack"
    await eventually(lambda: [data["content"] for data in alice.all("new-message")] == [content])


async def test_frames_right_behind_the_handshake_are_not_lost(edge: Edge, trusting: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection("localhost", edge.port, ssl=trusting)
    mask = bytes(4)
    frame = b'{"event":"fly","id":"early"}'
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Authorization: Bearer " + token("alice").encode() + b"\r\n\r\n"
        + bytes((0x81, 0x80 | len(frame))) + mask + frame
    )  # fmt: skip
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b'"id":"early"')
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"UNKNOWN_EVENT" in answer + await reader.readuntil(b"}}")
    writer.close()


async def test_one_who_reads_slowly_gets_all_in_order(
    start_tls: StartEdge, chat: ScaffoldChat, dial: Dial
) -> None:
    edge = await start_tls(edge_max_buffer_bytes=64 << 20)
    chat.members[CHAT] = {"slow"}
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    narrow.connect(("127.0.0.1", edge.port))
    narrow.setblocking(False)
    slow = await dial(edge, "slow", sock=narrow, server_hostname="localhost", max_queue=1)
    await slow.connection.recv()
    contents = [os.urandom(3000).hex() for _ in range(2000)]
    for start in range(0, len(contents), 200):
        await chat.say(CHAT, "bob", *contents[start : start + 200])
    received: list[str] = []
    async with asyncio.timeout(30):
        while len(received) < len(contents):
            frame = json.loads(await slow.connection.recv())
            if frame["event"] == "new-message":
                received.append(frame["data"]["content"])
    assert received == contents


async def test_one_who_does_not_read_is_disconnected(
    start_tls: StartEdge, chat: ScaffoldChat, dial: Dial
) -> None:
    edge = await start_tls(edge_max_buffer_bytes=64 * 1024)
    chat.members[CHAT] = {"stuck", "alice"}
    stuck = await dial(edge, "stuck", max_queue=1)
    await stuck.connection.recv()
    alice = await welcomed(await dial(edge, "alice"))
    slow = metrics.SLOW_CONSUMERS._value.get()
    async with asyncio.timeout(30):
        while metrics.SLOW_CONSUMERS._value.get() == slow:
            await chat.say(CHAT, "bob", *["x" * 100_000] * 20)
            await alice.next("new-message")
    stuck.connection.transport.abort()
    await eventually(lambda: set(chat.sessions.values()) == {"alice"})


async def test_a_violation_is_told_before_the_end(edge: Edge, dial: Dial) -> None:
    client = await welcomed(await dial(edge, "alice"))
    await client.connection.send(b"binary")
    assert await client.close_code() == 1003


async def test_a_client_that_vanishes_is_gone(edge: Edge, chat: ScaffoldChat, dial: Dial) -> None:
    client = await welcomed(await dial(edge, "alice"))
    client.connection.transport.abort()
    await eventually(lambda: len(chat.closed) == 1)


async def test_a_drain_tells_and_closes(edge: Edge, dial: Dial) -> None:
    client = await welcomed(await dial(edge, "alice"))
    draining = asyncio.create_task(edge.life.close(10))
    await client.next("drain")
    assert await client.close_code() == 1001
    await draining


async def test_answers_by_https_keep_browsers_there(edge: Edge, trusting: ssl.SSLContext) -> None:
    async with httpx.AsyncClient(base_url=f"https://localhost:{edge.port}", verify=trusting) as client:
        for path in ("/healthz", "/api/v1/chats", "/none"):
            assert "Strict-Transport-Security" in (await client.get(path)).headers
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{edge.port}/healthz")


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA:AES256-SHA:AES128-GCM-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_old_versions_and_ciphers_are_not_spoken(
    edge: Edge, trusting: ssl.SSLContext, version: ssl.TLSVersion, ciphers: str
) -> None:
    trusting.minimum_version = trusting.maximum_version = version
    trusting.set_ciphers(ciphers)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("localhost", edge.port, ssl=trusting)


async def test_handshakes_that_do_not_come_to_an_end_are_cut_off(start_tls: StartEdge, dial: Dial) -> None:
    edge = await start_tls(edge_request_seconds=0.3)
    plain = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    for sent in (b"", b"\x16\x03\x01\x02\x00\x01", plain, os.urandom(200)):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(sent)
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(30):
                assert b"HTTP/1.1" not in await reader.read()
        writer.close()
    await welcomed(await dial(edge, "alice"))


async def test_for_whom_there_is_no_place_is_told_so_by_wss(start_tls: StartEdge, dial: Dial) -> None:
    """And in the log as without TLS: that it is told, once for all that are refused within some seconds."""
    edge = await start_tls(edge_connections_per_address=1)
    alice = await welcomed(await dial(edge, "alice"))
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(InvalidStatus) as refused:
                await dial(edge, "alice")
            response = refused.value.response
            assert response.status_code == 429
            assert json.loads(response.body or b"")["error"]["code"] == "TOO_MANY_CONNECTIONS"
            assert 1 <= int(response.headers["Retry-After"]) <= 4
    assert [line["why"] for line in lines if line["event"] == "http.connection_refused"] == [
        "too many connections from this address"
    ]
    assert (await alice.ask("leave-chats", chatIds=[CHAT]))["event"] == "ack"


async def test_a_new_certificate_is_shown_to_who_comes_next(
    start_tls: StartEdge,
    files: CertificateFiles,
    renew: Callable[[], object],
    dial: Dial,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def shown() -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", served.port))

    monkeypatch.setattr("edge.app.renew", partial(follow, check_seconds=0.01))
    with capture_logs() as lines:
        served = await start_tls()
        before = await welcomed(await dial(served, "alice"))
        first = await shown()
        files.key.write_text("half written")
        await eventually(lambda: any(line["event"] == "tls.not_usable" for line in lines))
        assert await shown() == first, "what is not usable is left alone"
        renew()
        await eventually(lambda: any(line["event"] == "tls.rotated" for line in lines))
    assert await shown() != first
    assert (await before.ask("leave-chats", chatIds=[CHAT]))["event"] == "ack", "who is connected stays"
    assert "half written" not in str(lines)


async def test_a_peer_that_vanishes_ends_no_other_connection(edge: Edge, dial: Dial) -> None:
    """On Python 3.13 what OpenSSL says of it would be read as a failure of the next connection."""
    alice = await welcomed(await dial(edge, "alice"))
    for _ in range(20):
        await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", edge.port))
        assert (await alice.ask("leave-chats", chatIds=[CHAT]))["event"] == "ack"
