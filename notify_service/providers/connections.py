"""HTTP/1.1 connections that are kept and used again."""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import httpcore

_KEEP_SECONDS: Final = 60.0
_MAX_IDLE: Final = 256

_Key = tuple[bytes, bytes, int | None]
"""Scheme, host and port: connections to one of them serve no other."""


class Connections:
    """Opens as many connections as are in use at once, and keeps up to 256 for the next requests.

    httpcore's own pool looks at all its connections, and asks the kernel about each, twice in a request: with
    those of a few push services and a hundred webhooks that costs more than the request. Here a request looks
    at the connection that it takes, and a server that hangs holds up nobody else. How many are in use at once
    is for the caller to limit.
    """

    def __init__(self, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        self._tls = tls
        self._backend = backend
        self._idle: dict[_Key, deque[httpcore.AsyncHTTPConnection]] = {}
        """By origin, the last used origin last; of an origin, the last used connection last."""
        self._idle_count = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        while self._idle:
            await self._pop(next(iter(self._idle)), oldest=True).aclose()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: httpcore.URL,
        *,
        headers: Sequence[tuple[bytes | str, bytes | str]],
        content: bytes,
        extensions: Mapping[str, Any],
    ) -> AsyncIterator[httpcore.Response]:
        """The answer to a request, while entered, as `httpcore.AsyncConnectionPool.stream` gives it.

        The connection is kept when all of the answer was read. A server may end a connection at the moment it
        is used again; then the request is sent once more, on a new one. The server may get it twice.
        """
        key = (url.scheme, url.host, url.port)
        async with AsyncExitStack() as stack:

            async def send(connection: httpcore.AsyncHTTPConnection) -> httpcore.Response:
                stack.push_async_callback(self._give_back, key, connection)
                request = connection.stream(
                    method, url, headers=headers, content=content, extensions=dict(extensions)
                )
                return await stack.enter_async_context(request)

            kept = await self._take(key)
            try:
                response = await send(kept or self._open(url.origin))
            except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
                if kept is None:
                    raise
                response = await send(self._open(url.origin))
            yield response

    def _open(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        return httpcore.AsyncHTTPConnection(
            origin, self._tls, keepalive_expiry=_KEEP_SECONDS, network_backend=self._backend
        )

    async def _take(self, key: _Key) -> httpcore.AsyncHTTPConnection | None:
        # The last used first: the others grow old, and a burst's connections are let go.
        while key in self._idle:
            connection = self._pop(key)
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def _give_back(self, key: _Key, connection: httpcore.AsyncHTTPConnection) -> None:
        if connection.is_closed():
            return
        if self._closed or not connection.is_idle():
            await connection.aclose()
            return
        kept = self._idle.pop(key, deque())
        kept.append(connection)
        self._idle[key] = kept
        self._idle_count += 1
        if self._idle_count > _MAX_IDLE:
            await self._pop(next(iter(self._idle)), oldest=True).aclose()

    def _pop(self, key: _Key, *, oldest: bool = False) -> httpcore.AsyncHTTPConnection:
        kept = self._idle[key]
        connection = kept.popleft() if oldest else kept.pop()
        if not kept:
            del self._idle[key]
        self._idle_count -= 1
        return connection
