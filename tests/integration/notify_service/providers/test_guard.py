"""Where the guarded HTTP client does not go, whatever names and addresses say."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from notify_service.delivery.provider_limiter import Limits
from notify_service.ports import NotAskedError, SendDelayedError, SendRefusedError
from notify_service.providers.http import HttpClient, open_http
from tests.integration.notify_service.providers.http_server import OK, on_loopback, refusal, serving
from tests.support.authority import Authority
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


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

    async with open_http(seconds=5, **options) as http:
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
        assert isinstance(error, NotAskedError), "such a host does not count as one that answers"
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


async def test_a_name_that_is_slow_to_resolve_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    resolve = socket.getaddrinfo

    def slow(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.test":
            answer.wait()
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with serving(OK) as server, on_loopback(seconds=2) as http:
        try:
            waiting = [
                asyncio.create_task(refusal(http.post("https://slow.test/", b"", {})))
                for _ in range(2 * Limits().shared)  # under way, and given up while they still resolve
            ]
            await asyncio.sleep(0)
            assert (await http.post(f"http://localhost:{server.port}/", b"", {})).status == 200
            errors = await asyncio.gather(*waiting)
            assert {str(error) for error in errors} == {"no answer within 2 s"}
        finally:
            answer.set()


async def test_the_certificate_must_be_for_the_name(tmp_path: Path, names: Names) -> None:
    authority = Authority(tmp_path)
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
