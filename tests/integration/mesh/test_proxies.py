"""An HTTP proxy in the environment, which is there for others, gets no calls of the mesh unless it should."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from mesh.errors import ParleyError
from mesh.otlp import Exporting
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from tests.integration.mesh.echo import OPEN, EchoServicer, EchoStub, add_to_server
from tests.support.providers.collector import Collector

SECRET = SecretStr("s" * 32)


@dataclass(frozen=True, slots=True)
class Proxy:
    """Turns everybody away, and keeps what they asked for."""

    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for name in ("grpc_proxy", "https_proxy", "http_proxy"):
            monkeypatch.setenv(name, url)
        for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield proxy


async def _echo(*, http_proxy: bool) -> str:
    async def same(text: str) -> str:
        return text

    async with RpcServer("echo", SECRET, access=OPEN) as server:
        server.add(add_to_server, EchoServicer(same))
        target = f"dns:///127.0.0.1:{await server.start('127.0.0.1', 0, field='echo_port')}"
        async with open_channel(
            target, caller="t", callee="echo", secret=SECRET, http_proxy=http_proxy
        ) as channel:
            return await EchoStub(channel).echo("hello", timeout=5)


async def test_calls_pass_the_proxy_by(proxy: Proxy) -> None:
    assert await _echo(http_proxy=False) == "hello"
    assert proxy.asked == []


async def test_calls_go_through_the_proxy_where_that_is_asked_for(proxy: Proxy) -> None:
    with pytest.raises(ParleyError):
        await _echo(http_proxy=True)
    assert proxy.asked
    assert proxy.asked[0].startswith(b"CONNECT 127.0.0.1:")


async def test_traces_pass_the_proxy_by(proxy: Proxy) -> None:
    async with Collector() as collector:
        exporting = Exporting("test", collector.endpoint)
        span = exporting.tracer.start_span("one")
        span.end()
        await collector.trace(f"{span.get_span_context().trace_id:032x}", lambda spans: len(spans) == 1)
        await asyncio.to_thread(exporting.close)
    assert proxy.asked == []
