"""What a connection of an HTTP port may cost, and how it ends, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from mesh.descriptors import for_clients, hard_limit, raise_limit
from mesh.http.acceptor import Acceptor
from mesh.http.exchange import READ_ON_BYTES
from mesh.http.places import FullError, Places
from mesh.http.server import HttpLimits, HttpServer, OwnAnswers
from mesh.listening import listen
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BIG = b"x" * (4 << 20)
REQUEST = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"


class Small(RequestHandler):
    """Answers without a body."""

    def get(self) -> None:
        self.finish("small")

    def post(self) -> None:
        self.finish(str(len(self.request.body)))


@stream_request_body
class Refusing(RequestHandler):
    """Decides by the head alone."""

    def prepare(self) -> None:
        raise HTTPError(401)

    def data_received(self, chunk: bytes) -> None:  # noqa: ARG002 - Tornado's
        raise AssertionError("refused already")


@stream_request_body
class Early(RequestHandler):
    """Answers while the body comes, and ends behind it."""

    async def prepare(self) -> None:
        self.write("begun")
        await self.flush()

    def data_received(self, chunk: bytes) -> None:
        """Drops it."""

    def post(self) -> None:
        self.finish("ended")


class Large(RequestHandler):
    """Answers more than the kernel holds."""

    def get(self) -> None:
        self.finish(BIG)


class Port:
    """A server, and how it is spoken to."""

    def __init__(self, server: HttpServer, places: Places, number: int) -> None:
        self.server = server
        self.places = places
        self.number = number

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.number)


@asynccontextmanager
async def port(
    *, most: int = 100, per_address: int = 0, proxy: bool = False, **limits: Any
) -> AsyncIterator[Port]:
    """A server with limits of the test's choice; `proxy`: its peers are trusted proxies."""
    routes = [("/small", Small), ("/refuse", Refusing), ("/large", Large), ("/early", Early)]
    places = Places(most, per_address)
    server = HttpServer(
        Application(routes, log_function=lambda _: None),
        limits=HttpLimits(**{"request_seconds": 20.0, "idle_seconds": 20.0, **limits}),
        places=places,
        name="test",
        counted_as=lambda address: None if proxy else address,
        answers=OwnAnswers(lambda full: f"HTTP/1.1 {429 if full.of_address else 503} No\r\n\r\n".encode()),
    )
    number = server.listen(listen("127.0.0.1", 0, field="test_port"))
    try:
        yield Port(server, places, number)
    finally:
        await server.close()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next answer."""
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return head, await reader.readexactly(length)


async def end_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server has ended the connection; fails when it is reset."""
    async with asyncio.timeout(30):
        return await reader.read()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("length", [None, 0, 10, READ_ON_BYTES])
async def test_a_refusal_leaves_the_connection_to_the_next_request(method: str, length: int | None) -> None:
    announced = b"" if length is None else f"Content-Length: {length}\r\n".encode()
    async with port() as at:
        reader, writer = await at.connect()
        for _ in range(3):
            writer.write(f"{method} /refuse HTTP/1.1\r\nHost: a\r\n".encode() + announced + b"\r\n")
            head, _ = await answer(reader)  # it does not wait for the body
            assert head.startswith(b"HTTP/1.1 401 ")
            assert b"Connection: close" not in head
            writer.write(b"x" * (length or 0) + REQUEST)
            head, body = await answer(reader)
            assert (head.partition(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"small")
        writer.close()


async def _small(at: Port) -> bytes:
    reader, writer = await at.connect()
    writer.write(REQUEST)
    head, _ = await answer(reader)
    writer.close()
    return head


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Length: {READ_ON_BYTES + 1}",
        "Transfer-Encoding: chunked",
        "Content-Length: 10\r\nExpect: 100-continue",
        "Content-Length: 10\r\nConnection: close",
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_refusal_that_ends_the_connection_says_so_and_can_be_read(head: str, version: str) -> None:
    """Also by a client that sends on: a socket closed while bytes come is reset, and the answer is lost."""
    async with port() as at:
        reader, writer = await at.connect()
        kept = "\r\nConnection: keep-alive" if version == "1.0" and "close" not in head else ""
        writer.write(f"POST /refuse HTTP/{version}\r\nHost: a\r\n{head}{kept}\r\n\r\n".encode())
        for _ in range(8):
            writer.write(b"x" * (1 << 20))
            await writer.drain()
        writer.write_eof()
        read = await end_of(reader)
        assert read.startswith(b"HTTP/1.1 401 ")
        assert b"Connection: close" in read or version == "1.0"
        assert b"Keep-Alive" not in read
        assert read.count(b"HTTP/1.1") == 1
        writer.close()


async def test_what_is_no_http_is_answered_and_the_answer_can_be_read() -> None:
    async with port() as at:
        reader, writer = await at.connect()
        writer.write(b"nonsense\r\n\r\n" + b"x" * (1 << 20))
        await writer.drain()
        assert (await end_of(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_body_that_proves_unreadable_gets_no_second_answer() -> None:
    async with port() as at:
        reader, writer = await at.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"begun")
            writer.write(b"no number\r\n")
            answer += await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"ended" not in answer
        writer.close()


async def test_each_wait_has_its_own_time() -> None:
    """Between requests a connection may be silent for long; within one, and before the first, it may not."""
    async with port(request_seconds=0.3, idle_seconds=60.0) as at:
        kept, keeper = await at.connect()
        keeper.write(REQUEST)
        await answer(kept)
        for begun in (
            b"",
            b"GET /small HTTP/1.1\r\nHos",
            b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        ):
            reader, writer = await at.connect()
            writer.write(begun)
            assert await end_of(reader) == b""
            writer.close()
        await eventually(lambda: at.places.taken == 1)
        keeper.write(REQUEST)
        assert (await answer(kept))[1] == b"small"
        keeper.write(b"GET /small")
        assert await end_of(kept) == b""
        keeper.close()


async def test_a_connection_without_a_next_request_ends() -> None:
    async with port(request_seconds=60.0, idle_seconds=0.2) as at:
        reader, writer = await at.connect()
        writer.write(b"\r\n" + REQUEST)
        await answer(reader)
        assert await end_of(reader) == b""
        writer.close()
        await eventually(lambda: at.places.taken == 0)


async def test_nothing_but_line_ends_is_no_sign_of_a_request() -> None:
    async with port() as at:
        reader, writer = await at.connect()
        writer.write(b"\r\n" * 1000)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)
        writer.close()


async def test_an_answer_that_nobody_reads_is_not_kept() -> None:
    async with port(request_seconds=0.3) as at:
        peer = socket.create_connection(("127.0.0.1", at.number))
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: at.places.taken == 1)
        await eventually(lambda: at.places.taken == 0)
        peer.close()


async def test_connections_count_from_accept_on() -> None:
    async with port(per_address=3) as at:
        silent = [await at.connect() for _ in range(3)]
        reader, writer = await at.connect()
        writer.write(REQUEST)
        assert (await end_of(reader)).startswith(b"HTTP/1.1 429 ")
        writer.close()
        silent[0][1].close()
        await eventually(lambda: at.places.taken == 2)
        assert b"200 OK" in await _small(at)
        for _, writer in silent:
            writer.close()


async def test_who_waits_longest_without_a_request_makes_room_for_others() -> None:
    async with port(most=3) as at:
        silent = [await at.connect() for _ in range(3)]
        await eventually(lambda: at.places.taken == 3)
        assert b"200 OK" in await _small(at)
        assert await end_of(silent[0][0]) == b""
        for _, writer in silent:
            writer.close()


async def test_where_all_have_requests_others_are_refused() -> None:
    async with port(most=2) as at:
        busy = [await at.connect() for _ in range(2)]
        for _, writer in busy:
            writer.write(b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        await eventually(lambda: at.places.taken == 2 and not at.server.idle)
        reader, writer = await at.connect()
        writer.write(REQUEST)
        assert (await end_of(reader)).startswith(b"HTTP/1.1 503 ")
        writer.close()
        for reader, writer in busy:
            writer.write(b"hello")
            assert (await answer(reader))[1] == b"5"
            writer.close()


@asynccontextmanager
async def full_port(**limits: Any) -> AsyncIterator[Port]:
    """A server without a place for another connection of this address."""
    async with port(per_address=1, **limits) as at:
        _, writer = await at.connect()
        await eventually(lambda: at.places.taken == 1)
        yield at
        writer.close()


async def _refused(at: Port) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that is being refused."""
    before = at.server.refusals.waiting
    opened = await at.connect()
    await eventually(lambda: at.server.refusals.waiting > before)
    return opened


@pytest.mark.parametrize("body", [0, 1 << 20])
async def test_a_refusal_for_want_of_a_place_comes_behind_the_request(body: int) -> None:
    """Clients take an answer to nothing for a broken server."""
    async with full_port() as at:
        reader, writer = await _refused(at)
        head = f"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n".encode()
        writer.write(head[:-1])
        early = asyncio.create_task(reader.read())
        for _ in range(50):
            await asyncio.sleep(0)
        assert not early.done()
        assert at.server.refusals.waiting == 1
        writer.write(head[-1:] + b"x" * body)
        await writer.drain()
        assert (await early).startswith(b"HTTP/1.1 429 ")
        assert at.server.refusals.waiting == 0
        writer.close()


async def test_a_refusal_has_its_own_time_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.http.refusals._SECONDS", 0.2)
    async with full_port(max_head_bytes=4096) as at:
        reader, writer = await _refused(at)
        writer.write(REQUEST[:-1])
        assert await end_of(reader) == b""
        writer.close()
        monkeypatch.setattr("mesh.http.refusals._SECONDS", 60.0)
        reader, writer = await _refused(at)
        writer.write(b"GET /" + b"x" * 8192)
        with suppress(ConnectionResetError):
            assert await end_of(reader) == b""
        writer.close()
        await eventually(lambda: at.server.refusals.waiting == 0)


async def test_of_those_that_are_refused_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.http.server.reserved", lambda: 16)
    async with full_port() as at:
        silent = [await _refused(at) for _ in range(2)]
        reader, writer = await at.connect()
        assert await end_of(silent[0][0]) == b""
        assert at.server.refusals.waiting == 2
        for refused, sender in (silent[1], (reader, writer)):
            sender.write(REQUEST)
            assert (await end_of(refused)).startswith(b"HTTP/1.1 429 ")
        for _, sender in (*silent, (reader, writer)):
            sender.close()


async def test_beyond_so_many_a_second_connections_are_closed_instead_of_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mesh.http.refusals._PER_SECOND", 0.001)  # the first one owes for the next
    with capture_logs() as lines:
        async with full_port() as at:
            _, first = await _refused(at)
            for _ in range(5):
                reader, writer = await at.connect()
                assert await end_of(reader) == b""
                writer.close()
            assert at.server.refusals.waiting == 1
            first.close()
    (line,) = (line for line in lines if line["event"] == "http.connection_refused")
    assert (line["why"], line["address"]) == ("too many connections from this address", "127.0.0.1")


async def test_a_server_that_goes_away_says_so_with_each_answer() -> None:
    async with port() as at:
        reader, writer = await at.connect()
        writer.write(REQUEST)
        assert b"Connection: close" not in (await answer(reader))[0]
        at.server.stop()
        writer.write(REQUEST)
        assert b"Connection: close" in (await answer(reader))[0]
        assert await end_of(reader) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await at.connect()


def test_the_address_behind_a_proxy_is_counted_while_it_is_claimed() -> None:
    places = Places(10, 2)
    first, second, third = (places.enter(None) for _ in range(3))
    first.claim("a")
    second.claim("a")
    with pytest.raises(FullError):
        third.claim("a")
    second.let_go()  # the handshake was refused: the connection is the proxy's, and goes on
    assert places.taken == 3
    third.claim("a")
    third.hand_on()
    third.let_go()
    third.leave()
    assert places.taken == 2
    second.claim("a")
    second.leave()
    second.let_go()
    places.enter(None).claim("a")
    direct = places.enter("b")
    direct.claim("b")
    direct.let_go()
    places.enter("b")
    with pytest.raises(FullError):
        places.enter("b")
    direct.leave()
    places.enter("b")


async def test_without_descriptors_it_rests_and_goes_on_when_a_connection_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing to drop here, so it rests; one line says so, however many connections wait."""
    accepted: list[socket.socket] = []
    tries = 0

    class Listener:
        """The real socket, without descriptors while `exhausted`."""

        def __init__(self, real: socket.socket) -> None:
            self.real = real
            self.exhausted = False

        def fileno(self) -> int:
            return self.real.fileno()

        def close(self) -> None:
            self.real.close()

        def accept(self) -> tuple[socket.socket, Any]:
            nonlocal tries
            tries += 1
            if self.exhausted:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.real.accept()

    (real,) = listen("127.0.0.1", 0, field="test_port")
    listener = Listener(real)
    monkeypatch.setattr("mesh.http.acceptor._REST_SECONDS", 60.0)
    acceptor = Acceptor(listener, lambda peer, _: accepted.append(peer), lambda: False)  # type: ignore[arg-type]
    listener.exhausted = True
    with capture_logs() as lines:
        peers = [socket.create_connection(real.getsockname()) for _ in range(20)]
        await eventually(lambda: acceptor.resting)
        before = tries
        for _ in range(50):
            await asyncio.sleep(0)
        assert tries == before, "it does not spin"
        for _ in range(10):
            acceptor.resume()
            await eventually(lambda: acceptor.resting)
    assert len([line for line in lines if line["event"] == "http.accept_paused"]) <= 1
    listener.exhausted = False
    acceptor.resume()
    await eventually(lambda: len(accepted) == len(peers))
    acceptor.stop()
    for each in (*peers, *accepted):
        each.close()


def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, before[1]), before[1]))
        assert for_clients() == 500 - 125
        with capture_logs() as lines:
            assert raise_limit() == before[1] == hard_limit()
        assert lines[0]["limit"] == before[1]
        assert lines[0]["was"] == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
