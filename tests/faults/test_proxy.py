"""The proxy by which the other tests make networks bad."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chaos.proxy import Conditions, Proxy


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo_port: int) -> AsyncIterator[Proxy]:
    async with Proxy(echo_port) as proxy:
        yield proxy


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[Proxy], Awaitable[Streams]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    writers: list[asyncio.StreamWriter] = []

    async def connect(proxy: Proxy) -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def exchange(streams: Streams, data: bytes = b"ping") -> tuple[bytes, float]:
    """What came back, and after how long."""
    reader, writer = streams
    started = time.monotonic()
    writer.write(data)
    async with asyncio.timeout(30):
        return await reader.readexactly(len(data)), time.monotonic() - started


async def test_bytes_pass_unchanged_and_an_end_of_stream_passes_too(proxy: Proxy, dial: Dial) -> None:
    streams = await dial(proxy)
    data = bytes(range(256)) * 4096
    answer, _ = await exchange(streams, data)
    assert answer == data
    streams[1].write_eof()
    assert await streams[0].read() == b""
    async with asyncio.timeout(30):
        while proxy.connections:
            await asyncio.sleep(0.01)


async def test_a_cut_ends_connections_in_order_and_new_ones_work(proxy: Proxy, dial: Dial) -> None:
    streams = await dial(proxy)
    await exchange(streams)
    proxy.cut()
    assert await streams[0].read() == b""
    assert (await exchange(await dial(proxy)))[0] == b"ping"


async def test_a_reset_is_seen_as_one(proxy: Proxy, dial: Dial) -> None:
    streams = await dial(proxy)
    await exchange(streams)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await streams[0].read()


async def test_a_refusal_lasts_until_it_is_restored_on_the_same_port(proxy: Proxy, dial: Dial) -> None:
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await dial(proxy)
    await proxy.restore()
    assert proxy.port == port
    assert (await exchange(await dial(proxy)))[0] == b"ping"


async def test_a_blackhole_holds_bytes_and_new_connections_and_loses_neither(
    proxy: Proxy, dial: Dial
) -> None:
    before = await dial(proxy)
    await exchange(before)
    proxy.blackhole()
    during = await dial(proxy)
    for streams in (before, during):
        streams[1].write(b"held")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await streams[0].read(4)
    await proxy.restore()
    for streams in (before, during):
        async with asyncio.timeout(30):
            assert await streams[0].readexactly(4) == b"held"


async def test_a_delay_holds_both_ways_and_keeps_the_order(proxy: Proxy, dial: Dial) -> None:
    streams = await dial(proxy)
    proxy.conditions = Conditions(delay_ms=300, jitter_ms=100)
    data = bytes(range(200))
    started = time.monotonic()
    for byte in data:
        streams[1].write(bytes([byte]))
        await asyncio.sleep(0)
    async with asyncio.timeout(30):  # pipelined: one after the other they would take 80 s and more
        assert await streams[0].readexactly(len(data)) == data
    assert time.monotonic() - started > 0.4  # twice at least 200 ms
    proxy.conditions = Conditions(delay_ms=120_000)
    await proxy.restore()
    await exchange(streams)


async def test_bandwidth_is_limited(proxy: Proxy, dial: Dial) -> None:
    streams = await dial(proxy)
    proxy.conditions = Conditions(bytes_per_second=200_000)
    _, seconds = await exchange(streams, bytes(60_000))
    assert seconds > 0.3


async def test_a_target_that_is_away_ends_the_connection(echo_port: int, dial: Dial) -> None:
    async with Proxy(echo_port) as target, Proxy(target.port) as proxy:
        target.refuse()
        reader, _ = await dial(proxy)
        assert await reader.read() == b""
