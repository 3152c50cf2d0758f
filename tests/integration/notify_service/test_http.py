"""The guarded HTTP client against servers of all sorts."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from notify_service.adapters.senders import connections
from notify_service.adapters.senders.http import MAX_ANSWER, Answer, HttpClient, open_http
from notify_service.ports import SendDelayedError, SendError, SendRefusedError
from tests.providers.tls import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with the same bytes; remembers what it was asked."""

    def __init__(self, answer: bytes, *, then_close: bool) -> None:
        self._answer = answer
        self._then_close = then_close
        self.heads: list[str] = []
        self.connections = 0
        self.closed = 0
        self.hangs_up = False
        self.server_names: list[str | None] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                if self.hangs_up and len(self.heads) == 2:
                    break
                length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(self._answer)
                await writer.drain()
                if self._then_close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.closed += 1


@asynccontextmanager
async def serving(
    answer: bytes, tls: ssl.SSLContext | None = None, *, then_close: bool = False
) -> AsyncIterator[Server]:
    server = Server(answer, then_close=then_close)
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.server_names.append(name)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def on_loopback(seconds: float = 5.0, **options: Any) -> Any:
    return open_http(seconds=seconds, guarded=True, allow_loopback=True, **options)


async def refusal(request: Awaitable[Answer]) -> SendError:
    with pytest.raises(SendError) as caught:
        await request
    return caught.value


class Names:
    """Stands in for the name server of this machine: what each name resolves to, next time and later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[list[str]]] = {}
        self._resolve_really = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def answer(self, name: str, *answers: list[str]) -> None:
        """The last answer is given for ever."""
        self._answers[name] = list(answers)

    def _resolve(self, host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host not in self._answers:
            return list(self._resolve_really(host, port, *args, **options))
        self.asked.append(host)
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


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


async def test_a_name_that_is_slow_to_resolve_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    resolve = socket.getaddrinfo

    def slow(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.test":
            answer.wait()
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with serving(OK) as server, on_loopback(seconds=0.3) as http:
        try:
            waiting = [
                asyncio.create_task(refusal(http.post("https://slow.test/", b"", {}))) for _ in range(8)
            ]
            await asyncio.sleep(0)
            assert (await http.post(f"http://localhost:{server.port}/", b"", {})).status == 200
            errors = await asyncio.gather(*waiting)
            assert {str(error) for error in errors} == {"no answer within 0.3 s"}
        finally:
            answer.set()


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


async def test_the_certificate_must_be_for_the_name(authority: Authority, names: Names) -> None:
    names.answer("push.test", ["127.0.0.1"])
    names.answer("other.test", ["127.0.0.1"])
    async with (
        serving(OK, authority.server_context("push.test")) as server,
        on_loopback(ca_file=authority.ca_file) as http,
    ):
        assert (await http.post(f"https://push.test:{server.port}/", b"", {})).status == 200
        assert server.server_names == ["push.test"]
        assert f"host: push.test:{server.port}\r\n" in server.heads[0].lower()
        error = await refusal(http.post(f"https://other.test:{server.port}/", b"", {}))
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


LOOPBACK_FORMS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "localhost",
    "[::1]",
]
PRIVATE = [
    "10.0.0.1",
    "0xa000001",
    "169.254.169.254",
    "[::ffff:10.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::a00:1]",
    "[2002:7f00:1::]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "0.0.0.0",
    "[::]",
]


@asynccontextmanager
async def watched(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[HttpClient]:
    """A guarded client; the test fails when it opens a connection."""

    def connected(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    async with open_http(seconds=5, guarded=True, **options) as http:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connected)
        yield http


async def test_the_watch_sees_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch, allow_loopback=True) as http:
        with pytest.raises(ExceptionGroup):
            await http.post("http://127.0.0.1:1/", b"", {})


@pytest.mark.parametrize("host", LOOPBACK_FORMS + PRIVATE)
async def test_private_addresses_are_refused_however_they_are_written(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(monkeypatch) as http:
        error = await refusal(http.post(f"https://{host}/", b"", {}))
        assert isinstance(error, SendRefusedError)
        assert "not on the public internet" in str(error)


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_development_allows_this_machine_and_no_other(
    host: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(monkeypatch, allow_loopback=True) as http:
        assert isinstance(await refusal(http.post(f"{scheme}://{host}/", b"", {})), SendRefusedError)


async def test_plain_http_goes_nowhere_but_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    names.answer("push.test", ["1.1.1.1"])
    async with watched(monkeypatch, allow_loopback=True) as http:
        error = await refusal(http.post("http://push.test/", b"", {}))
        assert isinstance(error, SendRefusedError)
    async with watched(monkeypatch) as http:
        error = await refusal(http.post("http://push.test/", b"", {}))
        assert str(error) == "the address must begin with https://"


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "ws", "unix"])
async def test_other_schemes_are_refused(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch, allow_loopback=True) as http:
        assert isinstance(await refusal(http.post(f"{scheme}://127.0.0.1/x", b"", {})), SendRefusedError)


@pytest.mark.parametrize("addresses", [["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"]])
async def test_every_address_of_a_name_is_checked(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    names.answer("push.test", addresses)
    async with watched(monkeypatch) as http:
        error = await refusal(http.post("https://push.test/", b"", {}))
        assert str(error) == "the address leads to 10.0.0.1, which is not on the public internet"


async def test_a_name_whose_address_changes_after_the_check_gains_nothing(names: Names) -> None:
    """DNS rebinding; 127.0.0.1 stands for an address that is fine, 127.0.0.2 for the victim's."""
    reached: list[asyncio.StreamWriter] = []
    async with serving(OK) as server, on_loopback() as http:
        victim = await asyncio.start_server(
            lambda _, writer: reached.append(writer), "127.0.0.2", server.port
        )
        async with victim:
            names.answer("push.test", ["127.0.0.1"], ["127.0.0.2"])
            url = f"http://push.test:{server.port}/"
            assert (await http.post(url, b"", {})).status == 200
            # Resolved once: what was checked is what was connected to, and is used again without asking.
            assert names.asked == ["push.test"]
            assert (await http.post(url, b"", {})).status == 200
            assert names.asked == ["push.test"]
            assert (server.connections, len(server.heads), reached) == (1, 2, [])


async def test_each_connection_is_checked_anew(names: Names) -> None:
    async with serving(OK, then_close=True) as server, on_loopback() as http:
        names.answer("push.test", ["127.0.0.1"], ["10.0.0.1"])
        url = f"http://push.test:{server.port}/"
        assert (await http.post(url, b"", {})).status == 200
        await eventually(lambda: server.closed == 1)
        error = await refusal(http.post(url, b"", {}))
        assert "10.0.0.1" in str(error)
        assert names.asked == ["push.test", "push.test"]


async def test_the_next_address_is_tried_when_one_does_not_answer(names: Names) -> None:
    async with serving(OK) as server, on_loopback() as http:
        names.answer("push.test", ["127.0.0.3", "127.0.0.1"])
        assert (await http.post(f"http://push.test:{server.port}/", b"", {})).status == 200


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".test", ".test", "0177.0.0.1", "1\uff127.0.0.1"])
async def test_what_cannot_be_a_name_is_refused(host: str) -> None:
    async with on_loopback() as http:
        assert isinstance(await refusal(http.post(f"https://{host}/", b"", {})), SendRefusedError)


async def test_a_name_that_cannot_be_resolved_may_be_there_later() -> None:
    async with on_loopback() as http:
        error = await refusal(http.post("https://nobody.invalid/", b"", {}))
        assert isinstance(error, SendDelayedError)


async def test_without_the_guard_the_operator_s_own_addresses_are_reached() -> None:
    async with serving(OK) as server, open_http(seconds=5, guarded=False) as http:
        assert (await http.post(f"http://127.0.0.1:{server.port}/", b"", {})).status == 200


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
