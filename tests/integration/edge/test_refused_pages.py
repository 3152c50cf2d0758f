"""A web page reads from the close code why it was refused; a program reads it from the status."""

import asyncio
import socket
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from edge.metrics import CONNECTIONS, HANDSHAKES
from tests.integration.edge.conftest import Client, Edge, StartEdge, token
from tests.integration.edge.scaffold import ScaffoldChat
from tests.support.polling import eventually

PAGE = Origin("https://app.example")
EXPIRED = {"exp": int(time.time()) - 600}


def _as_page(proof: str, origin: str = PAGE) -> dict[str, Any]:
    """How a browser asks: it cannot set Authorization."""
    names = [Subprotocol("parley.v1.json"), Subprotocol(f"bearer.{proof}")]
    return {"subprotocols": names, "origin": Origin(origin), "additional_headers": {}}


@pytest.fixture
async def edge(start_edge: StartEdge) -> Edge:
    return await start_edge(edge_cors_origins=PAGE)


async def _told(client: Client) -> tuple[int | None, str]:
    code = await client.close_code()
    assert client.frames == []
    return code, (client.connection.close_reason or "").partition(":")[0]


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (_as_page("nonsense"), 4401, "INVALID_TOKEN"),
        (_as_page(token("alice", **EXPIRED)), 4401, "TOKEN_EXPIRED"),
        (_as_page(token("alice", aud="others")), 4401, "INVALID_TOKEN"),
        ({"origin": PAGE, "additional_headers": {}}, 4401, "INVALID_TOKEN"),
        (_as_page(token("alice"), "https://evil.example"), 4403, "PERMISSION_DENIED"),
        # Some proxies add a scheme of their own.
        (
            _as_page("nonsense") | {"additional_headers": {"Authorization": "Basic eA=="}},
            4401,
            "INVALID_TOKEN",
        ),
    ],
    ids=["nonsense", "expired", "for others", "no token", "foreign page", "behind a proxy's password"],
)
async def test_a_page_reads_the_close_code(edge: Edge, options: Any, code: int, reason: str) -> None:
    before = HANDSHAKES.labels("refused")._value.get(), HANDSHAKES.labels("accepted")._value.get()
    client = await edge.dial("alice", **options)
    assert await _told(client) == (code, reason)
    after = HANDSHAKES.labels("refused")._value.get(), HANDSHAKES.labels("accepted")._value.get()
    assert after == (before[0] + 1, before[1])
    assert edge.chat.opened_active_ms == []  # nobody was asked, nobody was told


async def test_a_token_in_the_url_is_refused_by_a_close_code(edge: Edge) -> None:
    async with connect(f"{edge.url}?token=nonsense") as connection:
        await asyncio.wait_for(connection.wait_closed(), 30)
        assert (connection.close_code, connection.close_reason) == (
            4401,
            "INVALID_TOKEN: the token is not valid",
        )


async def test_a_page_of_a_revoked_session_reads_4410(edge: Edge, chat: ScaffoldChat) -> None:
    await chat.revoke("alice")
    client = await edge.dial("alice", **_as_page(token("alice", iat=int(time.time()) - 60)))
    assert await _told(client) == (4410, "SESSION_REVOKED")


@pytest.mark.parametrize(
    ("origin", "proof", "status"),
    [(None, "nonsense", 401), (PAGE, "nonsense", 401), ("https://evil.example", token("alice"), 403)],
)
async def test_who_can_set_headers_reads_the_status(
    edge: Edge, origin: str | None, proof: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {proof}"}
    with pytest.raises(InvalidStatus) as refused:
        await connect(edge.url, additional_headers=headers, origin=Origin(origin) if origin else None)
    assert refused.value.response.status_code == status


async def test_a_crowd_with_bad_tokens_is_turned_away_before_the_upgrade(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_cors_origins=PAGE, edge_handshakes_per_second=5.0)
    answers: list[int | None] = []
    for _ in range(40):
        try:
            answers.append(await (await edge.dial("alice", **_as_page("nonsense"))).close_code())
        except InvalidStatus as refused:
            answers.append(refused.response.status_code)
    assert set(answers) == {4401, 503}


async def test_who_is_refused_holds_no_place_of_those_under_way(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_cors_origins=PAGE, edge_handshakes_at_once=1)
    before = CONNECTIONS._value.get()
    refused = await _silent(edge, "nonsense")
    await edge.client("bob")  # while the one that is refused has not said goodbye
    assert CONNECTIONS._value.get() == before + 2
    # It sends what it likes and never says goodbye: nothing is kept, and its time ends.
    await asyncio.get_running_loop().sock_sendall(
        refused, b"\x81\xff" + (1 << 20).to_bytes(8) + b"x" * 100_000
    )
    await eventually(lambda: CONNECTIONS._value.get() == before + 1)
    refused.close()


async def _silent(edge: Edge, proof: str) -> socket.socket:
    """A socket that is refused after the upgrade, and does not answer."""
    peer = socket.socket()
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", edge.port))
    request = (
        f"GET /ws?token={proof} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(peer, request.encode())
    received = b""
    while b"INVALID_TOKEN" not in received:
        received += await loop.sock_recv(peer, 4096)
    return peer
