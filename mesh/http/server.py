"""The server of an HTTP port: its connections from `accept` to their end, and what each may cost."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tornado.http1connection import HTTP1ConnectionParameters
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.iostream import StreamClosedError, UnsatisfiableReadError
from tornado.netutil import ssl_wrap_socket

from mesh.descriptors import reserved
from mesh.http.acceptor import Acceptor
from mesh.http.exchange import Context, Exchange, Ways
from mesh.http.lingering import Lingering
from mesh.http.places import FullError, Place, Places
from mesh.http.refusals import Refusals
from mesh.http.streams import HttpStream, TlsStream
from mesh.logs import get_logger
from mesh.metrics import HTTP_CONNECTIONS, HTTP_CONNECTIONS_ENDED
from mesh.seldom import Seldom

_LINE_ENDS: Final = 4  # of an empty line or two before a request (RFC 9112 section 2.2)
_LOG_SECONDS: Final = 10.0

_log = get_logger()


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a connection may take."""

    request_seconds: float
    """How long a new connection may be silent, a head take, a body, and reading the answer."""
    idle_seconds: float
    """How long a connection may wait between two requests."""
    max_head_bytes: int = 65536
    max_body_bytes: int | None = None
    """None: the handlers decide."""


def _nothing(_: FullError) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class OwnAnswers:
    """What the server itself answers, each with its head, which says `Connection: close`."""

    refusal: Callable[[FullError], bytes] = _nothing
    """To a connection for which there is no place; empty: it is closed at once."""
    unreadable: bytes = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    """To a request that cannot be parsed."""


class HttpServer:
    """Serves an application on any number of listening sockets.

    Args:
        application: takes the requests.
        limits: what a connection may take.
        places: counts the connections.
        name: the port's, in metrics.
        counted_as: the address that a peer is counted as; None, a proxy, whose clients are counted later.
        answers: the server's own.
        tls: what new connections begin TLS with; None, without.
    """

    def __init__(
        self,
        application: HTTPServerConnectionDelegate,
        *,
        limits: HttpLimits,
        places: Places,
        name: str,
        counted_as: Callable[[str], str | None] = str,
        answers: OwnAnswers = OwnAnswers(),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self.limits = limits
        self.application = application
        self.idle: dict[_Connection, None] = {}
        """Connections without a request; the one that waits longest comes first."""
        self._places = places
        self._name = name
        self._counted_as = counted_as
        self._answers = answers
        self._acceptors: list[Acceptor] = []
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._going_away = False
        self._lingering = Lingering(most=reserved() // 4)
        self.refusals = Refusals(
            most=reserved() // 8, max_head_bytes=limits.max_head_bytes, lingering=self._lingering
        )
        self._refusal_log = Seldom(_LOG_SECONDS)
        self.ways = Ways(
            parameters=HTTP1ConnectionParameters(
                max_header_size=limits.max_head_bytes,
                max_body_size=limits.max_body_bytes,
                body_timeout=limits.request_seconds,
            ),
            lingering=self._lingering,
            answer_seconds=limits.request_seconds,
            unreadable=answers.unreadable,
            going_away=lambda: self._going_away,
        )
        places.on_left(self._resume)

    def listen(self, sockets: Iterable[socket.socket]) -> int:
        """Accepts connections from now on; gives the port."""
        listeners = list(sockets)
        self._acceptors += [
            Acceptor(listener, self._on_connection, self._drop_idle) for listener in listeners
        ]
        port: int = listeners[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """Accepts no more connections; the next answer on each is its last, and says so."""
        self._going_away = True
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.stop()

    async def close(self) -> None:
        """Stops, and ends all connections that are still HTTP."""
        self.stop()
        tasks = list(self._connections.values())
        for connection in tuple(self._connections):
            connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.refusals.close()
        await self._lingering.close()

    def gone(self, connection: "_Connection", why: str) -> None:
        """Called by a connection that has ended, or has left HTTP."""
        self.idle.pop(connection, None)
        if self._connections.pop(connection, None) is not None:
            HTTP_CONNECTIONS.labels(self._name).dec()
            if why:
                HTTP_CONNECTIONS_ENDED.labels(self._name, why).inc()

    def _on_connection(self, peer: socket.socket, address: Any) -> None:
        remote_ip = str(address[0])
        try:
            place = self._enter(remote_ip)
        except FullError as full:
            self._refuse(peer, remote_ip, full)
            return
        stream = self._stream(peer)
        if stream is None:
            place.leave()
            return
        context = Context(remote_ip, "http" if self.tls is None else "https", place)
        connection = _Connection(self, stream, context)
        HTTP_CONNECTIONS.labels(self._name).inc()
        self._connections[connection] = asyncio.create_task(connection.serve(), name="http connection")

    def _enter(self, remote_ip: str) -> Place:
        address = self._counted_as(remote_ip)
        try:
            return self._places.enter(address)
        except FullError as full:
            if full.of_address or not self._drop_idle():
                raise
        return self._places.enter(address)

    def _stream(self, peer: socket.socket) -> HttpStream | None:
        """None where the peer has gone already."""
        try:
            if self.tls is None:
                return HttpStream(peer)
            return TlsStream(ssl_wrap_socket(peer, self.tls, server_side=True, do_handshake_on_connect=False))
        except OSError:
            peer.close()
            return None

    def _refuse(self, peer: socket.socket, remote_ip: str, full: FullError) -> None:
        HTTP_CONNECTIONS_ENDED.labels(self._name, "address" if full.of_address else "full").inc()
        left_out = self._refusal_log.due()
        if left_out is not None:
            _log.warning(
                "http.connection_refused",
                port=self._name,
                why=str(full),
                address=remote_ip,
                lines_left_out=left_out,
            )
        answer = self._answers.refusal(full)
        if not answer or not self.refusals.may_begin():
            peer.close()
            return
        stream = self._stream(peer)
        if stream is not None:
            self.refusals.begin(stream, answer)

    def _drop_idle(self) -> bool:
        """Ends the connection that has waited longest without a request; whether there was one."""
        for connection in self.idle:
            connection.close("dropped")
            return True
        return False

    def _resume(self) -> None:
        for acceptor in self._acceptors:
            acceptor.resume()


class _Connection:
    """One connection, while it is HTTP."""

    def __init__(self, server: HttpServer, stream: HttpStream, context: Context) -> None:
        self._server = server
        self._stream = stream
        self._context = context
        self._deadline: asyncio.TimerHandle | None = None
        self._why = ""

    async def serve(self) -> None:
        """Serves one request after another until either side ends the connection."""
        seconds = self._server.limits.request_seconds
        try:
            with suppress(StreamClosedError, UnsatisfiableReadError):
                while await self._serve_one(seconds):
                    seconds = self._server.limits.idle_seconds
                    await asyncio.sleep(0)  # whoever sends many at once lets others have their turn
        finally:
            self._end_deadline()
            if not self._context.place.handed_on:
                self.close()
            self._server.gone(self, self._why)

    def close(self, why: str = "") -> None:
        """Ends the connection now; `why` is for the metrics."""
        self._why = self._why or why
        self._server.idle.pop(self, None)
        self._stream.close()
        self._context.place.leave()

    async def _serve_one(self, seconds: float) -> bool:
        """Whether the connection may go on."""
        self._set_deadline(seconds, "idle")
        self._server.idle[self] = None
        first = await self._first_byte()
        self._server.idle.pop(self, None)
        if not first:
            return False
        self._set_deadline(self._server.limits.request_seconds, "slow")
        exchange = Exchange(self._stream, self._context, self._server.ways, first, self._end_deadline)
        return await exchange.read_response(self._server.application.start_request(self, exchange))

    async def _first_byte(self) -> bytes:
        """The first byte of a request; empty where nothing but line ends comes."""
        for _ in range(_LINE_ENDS + 1):
            byte = await self._stream.read_bytes(1)
            if byte not in b"\r\n":
                return byte
        return b""

    def _set_deadline(self, seconds: float, why: str) -> None:
        self._end_deadline()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.close, why)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
