"""The handshake by the letter of RFC 6455, 9110 and 9112, over a raw socket."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from mesh.errors import ResourceExhausted
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.edge.conftest import Edge, StartEdge, token
from tests.integration.edge.scaffold import ScaffoldChat

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3 has both


def _request(line: str = "GET /ws HTTP/1.1", more: str = "", **other: Any) -> bytes:
    """A good handshake, but for `line`, the header lines `more` and `other` headers (None: left out)."""
    headers: dict[str, str | None] = {
        "Host": "chat.example",
        "Authorization": f"Bearer {token('alice')}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": _KEY,
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([line, *lines, more]).rstrip("\r\n").encode() + b"\r\n\r\n"


async def _ask(edge: Edge, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends the bytes; gives status, headers by their lower-case names, and what else has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        writer.write(request)
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            wanted = int(headers.get("content-length", 2))
            return int(first.split()[1]), headers, await reader.readexactly(wanted)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("GET /ws HTTP/1.1", {}),
        ("GET /ws HTTP/1.1", {"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade"}),
        ("GET /ws HTTP/1.1", {"Upgrade": "h2c, websocket"}),
        ("GET /ws HTTP/1.1", {"Upgrade": "h2c", "more": "Upgrade: websocket"}),
        ("GET http://chat.example/ws HTTP/1.1", {}),
        ("GET ws://chat.example/ws?x=1 HTTP/1.1", {}),
        ("GET HTTPS://chat.example:443/ws HTTP/1.1", {}),
        # Of an absolute target the host counts, whatever the header says (RFC 9112 section 3.2.2).
        ("GET http://chat.example/ws HTTP/1.1", {"Host": "x", "Origin": "http://chat.example"}),
    ],
)
async def test_what_is_a_handshake_is_upgraded(edge: Edge, line: str, other: dict[str, Any]) -> None:
    status, headers, first = await _ask(edge, _request(line=line, **other))
    assert status == 101
    assert (headers["upgrade"], headers["connection"]) == ("websocket", "Upgrade")
    assert headers["sec-websocket-accept"] == _ACCEPT
    assert first[0] == 0x81


@pytest.mark.parametrize(
    ("line", "more", "other"),
    [
        ("GET /ws HTTP/1.1", "", {"Upgrade": None, "Connection": None}),
        ("GET /ws HTTP/1.1", "", {"Upgrade": "h2c"}),
        ("GET /ws HTTP/1.1", "", {"Connection": "keep-alive"}),
        ("GET /ws HTTP/1.1", "", {"Sec_WebSocket_Version": None}),
        ("GET /ws HTTP/1.1", "", {"Sec_WebSocket_Version": "8"}),
        ("GET /ws HTTP/1.1", "Sec-WebSocket-Version: 8", {}),
        ("GET /ws HTTP/1.0", "", {}),
    ],
)
async def test_what_asks_for_another_or_no_upgrade_is_told_what_to_ask_for(
    edge: Edge, line: str, more: str, other: dict[str, Any]
) -> None:
    status, headers, body = await _ask(edge, _request(line=line, more=more, **other))
    assert status == 426
    assert headers["upgrade"] == "websocket"
    assert headers["sec-websocket-version"] == "13"
    assert "Upgrade" in headers["connection"]
    assert json.loads(body)["error"]["code"] == "INVALID_ARGUMENT"
    assert edge.chat.sessions == {}


async def test_a_head_is_not_upgraded(edge: Edge) -> None:
    headers = dict(line.split(": ") for line in _request().decode().strip().split("\r\n")[1:])
    async with httpx.AsyncClient() as client:
        answer = await client.head(f"http://127.0.0.1:{edge.port}/ws", headers=headers)
    assert answer.status_code == 405
    assert edge.chat.sessions == {}


@pytest.mark.parametrize(
    ("more", "other"),
    [
        ("", {"Sec_WebSocket_Key": "short"}),
        ("", {"Sec_WebSocket_Key": None}),
        ("", {"Sec_WebSocket_Key": base64.b64encode(bytes(17)).decode()}),
        (f"Sec-WebSocket-Key: {_KEY}", {}),
        ("Origin: http://chat.example", {"Origin": "http://chat.example"}),
        ("Origin: http://evil.example", {"Origin": "http://chat.example"}),
    ],
)
async def test_a_handshake_that_is_not_well_formed_is_refused(
    edge: Edge, more: str, other: dict[str, Any]
) -> None:
    status, _, body = await _ask(edge, _request(more=more, **other))
    assert (status, json.loads(body)["error"]["code"]) == (400, "INVALID_ARGUMENT")
    assert edge.chat.sessions == {}


async def test_two_origins_are_refused_where_any_may_connect(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_cors_origins="*")
    two = _request(more="Origin: http://b.example", Origin="http://a.example")
    assert (await _ask(edge, two))[0] == 400
    assert (await _ask(edge, _request(Origin="http://a.example")))[0] == 101


_EARLY = (
    b'{"event":"fly","id":1}',
    b"no JSON",
    b'{"event":"join-chats","id":2,"data":{"chatIds":["eeeeeeeeeeeeeeeeeeeeeeee"]}}',
)


def _masked(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


async def _frames(reader: asyncio.StreamReader, count: int) -> list[tuple[int, bytes]]:
    """The next frames of the server, but for its pings."""
    frames: list[tuple[int, bytes]] = []
    async with asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
        while len(frames) < count:
            first, size = await reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2))
            frames.append((first & 0x0F, await reader.readexactly(size)))
    return frames


async def test_the_welcome_is_first_though_frames_come_with_the_handshake(
    edge: Edge, chat: ScaffoldChat
) -> None:
    gate = chat.gates["OpenSession"] = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(_request() + b"".join(_masked(1, text) for text in _EARLY) + _masked(9, b"ping"))
    await asyncio.wait_for(chat.entered["OpenSession"].wait(), 30)
    gate.set()
    frames = await _frames(reader, 5)
    pongs = [payload for opcode, payload in frames if opcode == 0xA]
    told = [json.loads(payload) for opcode, payload in frames if opcode == 0x1]
    assert pongs == [b"ping"]
    assert [(frame["event"], frame.get("id")) for frame in told] == [
        ("welcome", None),
        ("error", 1),
        ("error", None),
        ("ack", 2),
    ]
    writer.close()
    await writer.wait_closed()


async def test_a_refused_session_gets_its_reason_and_no_frame_before(edge: Edge, chat: ScaffoldChat) -> None:
    message = "é" * 200
    chat.failures["OpenSession"] = ResourceExhausted(
        ErrorReason.ERROR_REASON_TOO_MANY_CONNECTIONS, message, retry_after_ms=1
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(_request() + b"".join(_masked(1, text) for text in _EARLY))
    ((opcode, payload),) = await _frames(reader, 1)
    assert opcode == 0x8
    assert int.from_bytes(payload[:2]) == 4029
    assert len(payload) <= 125
    assert payload[2:].decode().startswith("TOO_MANY_CONNECTIONS: éé")
    writer.close()
    await writer.wait_closed()


async def test_a_flood_before_the_welcome_ends_the_connection(edge: Edge, chat: ScaffoldChat) -> None:
    chat.gates["OpenSession"] = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(_request() + _masked(1, _EARLY[0]) * 300)
    ((opcode, payload),) = await _frames(reader, 1)
    assert (opcode, int.from_bytes(payload[:2])) == (0x8, 4008)
    chat.gates["OpenSession"].set()
    writer.close()
    await writer.wait_closed()
