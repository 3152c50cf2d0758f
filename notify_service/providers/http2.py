"""The HTTP/2 client for providers that the operator names: one connection to each, shared by all requests."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpcore

from notify_service.ports import NotAskedError, SendDelayedError
from notify_service.providers.http import (
    Answer,
    authority_of,
    no_answer,
    parse_url,
    require_headers,
    trusting,
)
from notify_service.providers.http2_connection import ConnectionLostError, Headers, Http2Connection

_KEEP_SECONDS: Final = 120.0
"""One that was idle for longer is replaced: a router in between may have forgotten it, and tells nobody."""
_PATIENCE_SHARE: Final = 0.8
"""Of the time of a request: a connection on which the server says nothing for so long is dead."""

_Peer = tuple[str, int]


class Http2Client:
    """Posts to https URLs. Made by `open_http2`."""

    def __init__(self, tls: ssl.SSLContext, seconds: float) -> None:
        self._tls = tls
        self._seconds = seconds
        self._connections: dict[_Peer, Http2Connection] = {}
        self._connecting: defaultdict[_Peer, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """The server's answer, whatever its status is.

        A request that lost its connection is sent once more, on another one: servers end connections whenever
        they like (GOAWAY). The server may get it twice.

        Raises:
            NotAskedError: the URL or a header is malformed.
            SendDelayedError: there was no whole answer in time.
        """
        target = parse_url(url)
        if target.scheme != b"https":
            raise NotAskedError("the address must begin with https://")
        require_headers(headers)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(target, content, headers)
        except TimeoutError as error:
            raise SendDelayedError(f"no answer within {self._seconds:g} s") from error
        except (OSError, ConnectionLostError) as error:
            # What TLS finds wrong with a certificate is an OSError too.
            raise no_answer(error) from error

    def close(self) -> None:
        """Ends all connections."""
        for connection in self._connections.values():
            connection.close("this client was closed")
        self._connections.clear()

    async def _post(self, url: httpcore.URL, content: bytes, headers: Mapping[str, str]) -> Answer:
        sent: Headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority_of(url)),
            (":path", url.target.decode()),
            ("content-length", str(len(content))),
            ("user-agent", "Parley"),
            *headers.items(),
        ]
        peer = (url.host.decode(), url.port or 443)
        patience = self._seconds * _PATIENCE_SHARE
        try:
            return await (await self._connection(peer)).request(sent, content, patience)
        except ConnectionLostError:
            return await (await self._connection(peer)).request(sent, content, patience)

    async def _connection(self, peer: _Peer) -> Http2Connection:
        async with self._connecting[peer]:
            found = self._connections.get(peer)
            if found is not None and found.is_open and found.idle_seconds < _KEEP_SECONDS:
                return found
            if found is not None:
                found.close("it was idle for long")
            made = self._connections[peer] = await self._connect(peer)
            return made

    async def _connect(self, peer: _Peer) -> Http2Connection:
        host, port = peer
        transport, connection = await asyncio.get_running_loop().create_connection(
            Http2Connection, host, port, ssl=self._tls, server_hostname=host
        )
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        if tls.selected_alpn_protocol() != "h2":
            connection.close("the server does not speak HTTP/2")
            raise ConnectionLostError("the server does not speak HTTP/2")
        return connection


@asynccontextmanager
async def open_http2(*, seconds: float, ca_file: Path | None = None) -> AsyncIterator[Http2Client]:
    """A client while entered.

    Args:
        seconds: how long a request may take, from resolving the name to the end of the answer.
        ca_file: certificates (PEM) trusted besides the public ones.

    Raises:
        OSError: `ca_file` cannot be read or is no certificate (`ssl.SSLError` is an `OSError`).
    """
    tls = trusting(ca_file)
    tls.set_alpn_protocols(["h2"])
    client = Http2Client(tls, seconds)
    try:
        yield client
    finally:
        client.close()
