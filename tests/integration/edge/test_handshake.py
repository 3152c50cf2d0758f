"""Who gets a WebSocket, and how the others are told."""

import json
import time
from typing import Any

import jwt
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from edge.handshake import _log_unanswerable
from edge.protocol.codec import CODECS
from mesh.seldom import Seldom
from tests.integration.edge.conftest import Edge, StartEdge, token
from tests.integration.edge.scaffold import SECRET, ScaffoldChat


def _alg_none() -> str:
    return jwt.encode({"sub": "alice", "exp": int(time.time()) + 86_400}, "", algorithm="none")


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
        (jwt.encode({"sub": "alice", "exp": int(time.time()) + 86_400}, SECRET[::-1] + "y"), "INVALID_TOKEN"),
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


@pytest.mark.parametrize(
    "offered",
    [
        ["parley.v1.json"],
        ["parley.v1.protobuf"],
        ["parley.v1.json", "parley.v1.protobuf"],
        ["parley.v1.protobuf", "parley.v1.json"],
        ["parley.v9.json", "parley.v1.protobuf"],
    ],
)
async def test_the_first_that_is_known_is_agreed_on(edge: Edge, offered: list[str]) -> None:
    names = [Subprotocol(name) for name in (*offered, f"bearer.{token('alice')}")]
    async with connect(edge.url, subprotocols=names) as connection:
        assert connection.subprotocol == next(name for name in offered if name in CODECS)
        assert isinstance(await connection.recv(), bytes) is (connection.subprotocol == "parley.v1.protobuf")


async def test_the_subprotocol_is_agreed_on_and_the_token_is_not_repeated(edge: Edge) -> None:
    async with connect(edge.url, subprotocols=_offer("parley.v1.json", token("alice"))) as connection:
        assert connection.subprotocol == "parley.v1.json"
    headers = {"Authorization": f"Bearer {token('alice')}"}
    async with connect(edge.url, additional_headers=headers) as connection:
        assert connection.subprotocol is None


@pytest.mark.parametrize(
    "offered",
    [
        ["parley.v9.json", "bearer.TOKEN"],
        ["bearer.TOKEN"],
        ["graphql-ws"],
        ["Parley.V1.JSON", "bearer.TOKEN"],
        ["parley.v1.json", "Bearer.TOKEN"],
    ],
)
async def test_subprotocols_of_which_none_can_be_answered_are_refused(edge: Edge, offered: list[str]) -> None:
    # A browser would end the connection after a 101 without one of them, and the user would have been online.
    proof = token("alice")
    names = [Subprotocol(name.replace("TOKEN", proof)) for name in offered]
    headers = {} if "TOKEN" in "".join(offered) else {"Authorization": f"Bearer {proof}"}
    status, error = await _refusal(edge, subprotocols=names, additional_headers=headers)
    assert (status, error["code"]) == (400, "INVALID_ARGUMENT")
    assert "lower case" in error["message"]
    assert proof not in error["message"]
    assert edge.chat.opened_active_ms == []


async def test_the_log_says_once_that_a_client_offers_no_protocol(edge: Edge) -> None:
    _log_unanswerable.cache_clear()
    with capture_logs() as logs:
        for _ in range(3):
            await _refusal(edge, subprotocols=[Subprotocol(f"bearer.{token('alice')}")])
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["handshake.no_subprotocol"]


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
    assert third.connection.close_reason == "TOO_MANY_CONNECTIONS: too many connections"
    assert third.frames == []
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
