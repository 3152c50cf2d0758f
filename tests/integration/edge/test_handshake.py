"""Who gets a WebSocket, and how the others are told."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from mesh.seldom import Seldom
from tests.integration.edge.conftest import Edge, StartEdge, token
from tests.integration.edge.scaffold import SECRET, ScaffoldChat


def _alg_none() -> str:
    return jwt.encode({"sub": "alice", "exp": int(time.time()) + 60}, "", algorithm="none")


def _offer(version: str, proof: str) -> list[Subprotocol]:
    return [Subprotocol(version), Subprotocol(f"bearer.{proof}")]


async def _refusal(edge: Edge, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        await connect(edge.url, **options)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"")["error"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("", "INVALID_TOKEN"),
        ("nonsense", "INVALID_TOKEN"),
        (_alg_none(), "INVALID_TOKEN"),
        (token("alice", exp=int(time.time()) - 600), "TOKEN_EXPIRED"),
        (token("alice", aud="others"), "INVALID_TOKEN"),
        (jwt.encode({"sub": "alice", "exp": int(time.time()) + 60}, SECRET[::-1] + "y"), "INVALID_TOKEN"),
    ],
    ids=["empty", "nonsense", "no algorithm", "expired", "for others", "another key"],
)
async def test_a_bad_token_is_refused_before_the_upgrade(edge: Edge, bad: str, code: str) -> None:
    status, error = await _refusal(edge, additional_headers={"Authorization": f"Bearer {bad}"})
    assert (status, error["code"]) == (401, code)
    assert edge.chat.sessions == {}


async def test_the_token_may_stand_in_three_places(edge: Edge) -> None:
    proof = token("alice")
    for url, options in (
        (edge.url, {"additional_headers": {"Authorization": f"Bearer {proof}"}}),
        (f"{edge.url}?token={proof}", {}),
        (edge.url, {"subprotocols": _offer("parley.v1.json", proof)}),
    ):
        async with connect(url, **options) as connection:
            welcome = json.loads(await connection.recv())
            assert welcome["event"] == "welcome"
            assert welcome["data"]["userId"] == "alice"


async def test_the_subprotocol_is_agreed_on_and_the_token_is_not_repeated(edge: Edge) -> None:
    async with connect(edge.url, subprotocols=_offer("parley.v1.json", token("alice"))) as connection:
        assert connection.subprotocol == "parley.v1.json"
    headers = {"Authorization": f"Bearer {token('alice')}"}
    async with connect(edge.url, additional_headers=headers) as connection:
        assert connection.subprotocol is None


async def test_an_unknown_version_of_the_protocol_is_refused(edge: Edge) -> None:
    status, error = await _refusal(edge, subprotocols=_offer("parley.v9.json", token("alice")))
    assert (status, error["code"]) == (400, "INVALID_ARGUMENT")
    assert "parley.v1.json" in error["message"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Upgrade", "h2c"),
        ("Connection", "keep-alive"),
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Key", "short"),
        ("Sec-WebSocket-Key", base64.b64encode(bytes(17)).decode()),
    ],
)
async def test_a_request_that_is_no_handshake_is_refused(edge: Edge, header: str, value: str) -> None:
    import httpx  # noqa: PLC0415 - only here

    headers = {
        "Authorization": f"Bearer {token('alice')}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        header: value,
    }
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{edge.port}/ws", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"


async def test_no_compression_is_agreed_on(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {token('alice')}"}
    async with connect(edge.url, additional_headers=headers, compression="deflate") as connection:
        assert connection.protocol.extensions == []


async def test_too_many_connections_of_a_user(edge: Edge, chat: ScaffoldChat) -> None:
    chat.max_connections = 2
    await edge.client("alice")
    await edge.client("alice")
    third = await edge.dial("alice")
    assert await third.close_code() == 4029
    assert third.all("error")[0]["code"] == "TOO_MANY_CONNECTIONS"
    await edge.client("bob")


async def test_pages_of_other_sites_may_not_connect(edge: Edge) -> None:
    proof = {"Authorization": f"Bearer {token('alice')}"}
    for origin in ("https://evil.example", "null", "http://localhost:3000"):
        status, error = await _refusal(edge, additional_headers=proof, origin=Origin(origin))
        assert (status, error["code"]) == (403, "PERMISSION_DENIED")
    assert edge.chat.sessions == {}


async def test_a_proxy_that_does_not_pass_the_host_on_is_named_as_the_cause(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Nginx does by `proxy_pass` alone: `Host` is its own name for the edge."""
    monkeypatch.setattr("edge.handshake._origin_refused", Seldom(60.0))
    proof = {"Authorization": f"Bearer {token('alice')}"}
    with capture_logs() as lines:
        for _ in range(3):
            status, error = await _refusal(
                edge, additional_headers=proof, origin=Origin("https://chat.example.com")
            )
            assert (status, error["code"]) == (403, "PERMISSION_DENIED")
            for cause in ("PARLEY_EDGE_CORS_ORIGINS", "Host", "proxy"):
                assert cause in error["message"]
            assert str(edge.port) not in error["message"], "the proxy's name for the edge is not for clients"
    (line,) = (line for line in lines if line["event"] == "handshake.origin_refused")
    assert line["origin"] == "https://chat.example.com"
    assert line["host"] == f"127.0.0.1:{edge.port}"


async def test_pages_of_this_host_and_of_allowed_sites_may(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_cors_origins="https://app.example")
    for origin in (f"http://127.0.0.1:{edge.port}", "https://app.example"):
        client = await edge.dial("alice", origin=Origin(origin))
        await client.next("welcome")


async def test_a_page_by_plain_http_may_not_where_a_proxy_ends_tls(start_edge: StartEdge) -> None:
    edge = await start_edge(edge_trusted_proxies="127.0.0.0/8")
    headers = {"Authorization": f"Bearer {token('alice')}", "X-Forwarded-Proto": "https"}
    host = f"127.0.0.1:{edge.port}"
    status, _ = await _refusal(edge, additional_headers=headers, origin=Origin(f"http://{host}"))
    assert status == 403
    client = await edge.dial("alice", additional_headers=headers, origin=Origin(f"https://{host}"))
    await client.next("welcome")
