"""A server that answers as a test says, and how tests speak to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from notify_service.ports import SendError
from notify_service.providers.http import Answer, open_http

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable

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
    return open_http(seconds=seconds, allow_loopback=True, **options)


async def refusal(request: Awaitable[Answer]) -> SendError:
    with pytest.raises(SendError) as caught:
        await request
    return caught.value
