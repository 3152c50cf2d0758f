"""The HTTP client against servers of all sorts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from notify_service.ports import SendDelayedError, SendRefusedError
from notify_service.providers import connections
from notify_service.providers.http import MAX_ANSWER
from tests.integration.notify_service.providers.http_server import OK, on_loopback, refusal, serving
from tests.support.authority import Authority
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path


async def test_one_connection_serves_many_requests() -> None:
    async with serving(OK) as server, on_loopback() as http:
        for _ in range(5):
            answer = await http.post(f"http://127.0.0.1:{server.port}/a?b", b"hello", {"ttl": "5"})
            assert (answer.status, answer.headers, answer.body) == (200, {"content-length": "2"}, b"ok")
        assert server.connections == 1
        assert server.heads[0].startswith("POST /a?b HTTP/1.1\r\n")
        assert "ttl: 5\r\n" in server.heads[0]


async def test_connections_end_with_the_client() -> None:
    async with serving(OK) as server:
        async with on_loopback() as http:
            url = f"http://127.0.0.1:{server.port}/"
            await asyncio.gather(*(http.post(url, b"", {}) for _ in range(3)))
            assert (server.connections, server.closed) == (3, 0)
        await eventually(lambda: server.closed == 3)


async def test_of_idle_connections_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_MAX_IDLE", 2)
    async with serving(OK) as one, serving(OK) as two, serving(OK) as three, on_loopback() as http:
        for server in (one, two, one, three):
            await http.post(f"http://127.0.0.1:{server.port}/", b"", {})
        await eventually(lambda: two.closed == 1)
        assert (one.closed, three.closed) == (0, 0)


async def test_an_old_connection_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_KEEP_SECONDS", 0.0)
    async with serving(OK) as server, on_loopback() as http:
        for _ in range(2):
            await http.post(f"http://127.0.0.1:{server.port}/", b"", {})
        assert server.connections == 2
        await eventually(lambda: server.closed == 1)


async def test_the_connection_of_a_request_that_was_cut_off_is_closed() -> None:
    async with serving(b"") as server, on_loopback() as http:
        request = asyncio.create_task(http.post(f"http://127.0.0.1:{server.port}/", b"", {}))
        await eventually(lambda: len(server.heads) == 1)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await eventually(lambda: server.closed == 1)


async def test_redirects_are_answers_and_cookies_are_not_kept() -> None:
    redirect = (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    )
    async with serving(redirect) as server, on_loopback() as http:
        for _ in range(2):
            assert (await http.post(f"http://127.0.0.1:{server.port}/", b"", {})).status == 302
        assert len(server.heads) == 2
        assert "cookie" not in server.heads[1].lower()


async def test_of_a_long_answer_the_beginning_is_read() -> None:
    endless = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000
    async with serving(endless) as server, on_loopback() as http:
        answer = await http.post(f"http://127.0.0.1:{server.port}/", b"", {})
        assert answer.body == b"x" * MAX_ANSWER
        # The rest of it never becomes the answer to the next request.
        assert (await http.post(f"http://127.0.0.1:{server.port}/", b"", {})).status == 400
        assert server.connections == 2


async def test_a_compressed_answer_is_neither_asked_for_nor_unpacked() -> None:
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    async with serving(packed) as server, on_loopback() as http:
        answer = await http.post(f"http://127.0.0.1:{server.port}/", b"", {})
        assert answer.body == b"\x1f\x8b\x08\x00"
        assert "accept-encoding: identity\r\n" in server.heads[0].lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\x01\x02\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_nonsense_may_be_better_later(answer: bytes) -> None:
    async with serving(answer, then_close=True) as server, on_loopback() as http:
        error = await refusal(http.post(f"http://127.0.0.1:{server.port}/", b"", {}))
        assert isinstance(error, SendDelayedError)
        assert error.provider_down
        assert str(error).startswith("no answer: ")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ndrip"])
async def test_a_server_that_hangs_is_left(answer: bytes) -> None:
    async with serving(answer) as server, on_loopback(seconds=0.2) as http:
        error = await refusal(http.post(f"http://127.0.0.1:{server.port}/", b"", {}))
        assert isinstance(error, SendDelayedError)
        assert str(error) == "no answer within 0.2 s"


async def test_a_connection_that_ends_when_it_is_used_again_is_replaced() -> None:
    async with serving(OK) as server, on_loopback() as http:
        url = f"http://127.0.0.1:{server.port}/"
        await http.post(url, b"", {})
        server.hangs_up = True
        await http.post(url, b"", {})
        assert (server.connections, len(server.heads)) == (2, 3)


async def test_a_new_connection_that_ends_is_not_replaced() -> None:
    async with serving(b"", then_close=True) as server, on_loopback() as http:
        await refusal(http.post(f"http://127.0.0.1:{server.port}/", b"", {}))
        assert server.connections == 1


async def test_a_server_that_refuses_connections_may_be_there_later() -> None:
    async with serving(OK) as server:
        url = f"http://127.0.0.1:{server.port}/"
    async with on_loopback() as http:
        assert isinstance(await refusal(http.post(url, b"", {})), SendDelayedError)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    async with serving(OK, then_close=True) as server, on_loopback() as http:
        for _ in range(3):
            assert (await http.post(f"http://127.0.0.1:{server.port}/", b"", {})).status == 200
            await eventually(lambda: server.closed == server.connections)
        assert server.connections == 3


async def test_tls_is_verified(authority: Authority, tmp_path: Path) -> None:
    async with serving(OK, authority.server_context()) as server:
        url = f"https://localhost:{server.port}/"
        async with on_loopback(ca_file=authority.ca_file) as http:
            assert (await http.post(url, b"", {})).status == 200
        for stranger in (None, Authority(tmp_path).ca_file):
            async with on_loopback(ca_file=stranger) as http:
                error = await refusal(http.post(url, b"", {}))
                assert isinstance(error, SendDelayedError)
                assert "CERTIFICATE_VERIFY_FAILED" in str(error)


async def test_the_environment_s_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(OK) as server, on_loopback() as http:
        assert (await http.post(f"http://127.0.0.1:{server.port}/", b"", {})).status == 200


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0b", "é", "\x7f"])
async def test_headers_take_no_injection(value: str) -> None:
    async with serving(OK) as server, on_loopback() as http:
        error = await refusal(http.post(f"http://127.0.0.1:{server.port}/", b"", {"ttl": value}))
        assert isinstance(error, SendRefusedError)
        assert server.heads == []
