"""A TCP proxy on 127.0.0.1 that can make a network bad while connections go through it."""

import asyncio
import random
import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

_CHUNK: Final = 64 * 1024
_CHUNKS_IN_FLIGHT: Final = 256
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close(2) sends RST instead of FIN


@dataclass(frozen=True, slots=True)
class Conditions:
    """What each direction does to the bytes; the defaults do nothing."""

    delay_ms: float = 0
    jitter_ms: float = 0
    """Added to or taken from the delay, evenly spread. Bytes never overtake one another."""
    bytes_per_second: float = 0
    """0 stands for no limit."""


FINE: Final = Conditions()


class Proxy:
    """Listens on `port` while entered, and passes each connection on to `target_port`.

    `conditions` may be replaced at any time and holds for the bytes that come from then on.
    """

    def __init__(self, target_port: int, *, port: int = 0, seed: int = 0) -> None:
        self.port = port
        self.conditions = FINE
        self._target_port = target_port
        self._random = random.Random(seed)  # noqa: S311 - jitter that a seed repeats
        self._server: asyncio.Server | None = None
        self._relays: set[_Relay] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def connections(self) -> int:
        """How many connections go through it now."""
        return len(self._relays)

    def cut(self) -> None:
        """Closes all connections in order (FIN), as a peer that goes away does."""
        self._end_all(reset=False)

    def reset(self) -> None:
        """Ends all connections with RST, as a peer that crashed or a firewall does."""
        self._end_all(reset=True)

    def refuse(self) -> None:
        """Stops listening and resets what is connected: connecting fails at once, until `restore`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def blackhole(self) -> None:
        """Lets nothing through, until `restore`: what is sent waits, as it does in TCP's retransmissions."""
        self._flowing.clear()

    async def restore(self) -> None:
        """Makes the network good again; connections that still exist go on."""
        self.conditions = FINE
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_CHUNK)
            self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        await asyncio.gather(*(relay.ended for relay in self._relays), return_exceptions=True)

    def due(self, size: int, earlier: float) -> float:
        """When bytes that come now are to go out, not before `earlier`, when those before them do."""
        now, conditions = asyncio.get_running_loop().time(), self.conditions
        jitter = self._random.uniform(-conditions.jitter_ms, conditions.jitter_ms)
        at = max(now + max(0.0, conditions.delay_ms + jitter) / 1000, earlier)
        return at + size / conditions.bytes_per_second if conditions.bytes_per_second else at

    async def flowing(self) -> None:
        """Returns when bytes may pass."""
        await self._flowing.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = _Relay(self, self._target_port, reader, writer)
        self._relays.add(relay)
        relay.ended.add_done_callback(lambda _: self._relays.discard(relay))

    def _end_all(self, *, reset: bool) -> None:
        for relay in tuple(self._relays):
            relay.end(reset=reset)


class _Relay:
    """One connection: two sockets, and a pipe for each direction."""

    def __init__(
        self, proxy: Proxy, target_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._writers = [writer]
        self.ended = asyncio.create_task(self._run(target_port, reader, writer), name="relay")

    def end(self, *, reset: bool) -> None:
        """Closes both sockets at once."""
        for writer in self._writers:
            if reset and not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            writer.transport.abort()
        self.ended.cancel()

    async def _run(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._proxy.flowing()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port, limit=_CHUNK)
            self._writers.append(far_writer)
            async with asyncio.TaskGroup() as pipes:
                pipes.create_task(self._pipe(reader, far_writer))
                pipes.create_task(self._pipe(far_reader, writer))
        except* OSError:
            pass  # either side went away, or the target refuses: the other side is told below
        finally:
            for each in self._writers:
                each.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads on while earlier bytes wait for their time, so that a delay costs no bandwidth."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_IN_FLIGHT)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._fill(reader, line))
            ends.create_task(self._empty(line, writer))

    async def _fill(self, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        due = 0.0
        while chunk := await reader.read(_CHUNK):
            due = self._proxy.due(len(chunk), due)
            await line.put((due, chunk))
        await line.put((due, b""))

    async def _empty(self, line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, chunk = await line.get()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            await self._proxy.flowing()
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()
