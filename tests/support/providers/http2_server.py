"""A real HTTP/2 server (RFC 9113) over TLS, which answers as a test tells it and breaks when told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Counts connections from 1."""
    stream: int


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Fault(Enum):
    """What happens instead of an answer."""

    HANG = "no answer ever comes"
    RESET_STREAM = "this stream is reset, the connection goes on"
    GO_AWAY_UNSEEN = "GOAWAY, which says that this request was not looked at"
    GO_AWAY_SEEN = "GOAWAY, which says that this request may have been looked at; then the connection ends"
    CUT = "the connection is aborted"
    VIOLATION = "a frame that HTTP/2 does not allow"
    NOISE = "words that are no HTTP/2: they look like the beginning of a frame of 4 MB"


class Http2Server:
    """Listens on a free port of 127.0.0.1. What came in is in `requests`, in order of arrival."""

    def __init__(
        self, handle: Callable[[Request], Awaitable[Reply | Fault]], *, max_streams: int | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.most_streams = 0
        """The most requests that were under way at once on one connection."""
        self.resets = 0
        """Requests that clients took back."""
        self.port = 0
        self._handle = handle
        self._max_streams = max_streams
        self._open: set[_Connection] = set()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listen(self, tls: ssl.SSLContext) -> AsyncIterator[None]:
        """Serves while entered; `tls` has to offer `h2` by ALPN."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for connection in list(self._open):
                connection.abort()
            while self._open:
                await asyncio.sleep(0.001)

    def go_away(self) -> None:
        """Ends all connections as a server that restarts does, between requests."""
        for connection in self._open:
            connection.go_away_idle()

    def cut(self) -> None:
        """Aborts all connections."""
        for connection in self._open:
            connection.abort()

    async def wait_for_requests(self, count: int) -> None:
        """Returns when so many requests have come in."""
        while len(self.requests) < count:
            await asyncio.sleep(0.001)


class _Connection(asyncio.Protocol):
    def __init__(self, server: Http2Server) -> None:
        self._server = server
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._headers: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._waiting: dict[int, bytes] = {}
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._transport: asyncio.Transport | None = None
        self.number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio
        self._server.connections += 1
        self.number = self._server.connections
        self._server._open.add(self)
        if self._server._max_streams is not None:
            # In the first SETTINGS frame: clients do not wait for a second one.
            self._h2.local_settings = h2.settings.Settings(
                client=False,
                initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._server._max_streams},
            )
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        for task in self._under_way.values():
            task.cancel()
        self._server._open.discard(self)

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    assert event.stream_id is not None
                    self._headers[event.stream_id] = {str(k): str(v) for k, v in event.headers or ()}
                    self._bodies[event.stream_id] = bytearray()
                case h2.events.DataReceived():
                    assert event.stream_id is not None
                    self._bodies[event.stream_id] += event.data or b""
                    self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                case h2.events.StreamEnded():
                    assert event.stream_id is not None
                    self._take(event.stream_id)
                case h2.events.StreamReset():
                    self._forget(event.stream_id or 0)
                case h2.events.WindowUpdated():
                    for stream in list(self._waiting):
                        self._send_body(stream)
                case _:
                    pass
        self._flush()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def go_away_idle(self) -> None:
        self._h2.close_connection(last_stream_id=self._h2.highest_inbound_stream_id)
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _forget(self, stream: int) -> None:
        """The client wants no answer any more."""
        self._server.resets += 1
        self._headers.pop(stream, None)
        self._waiting.pop(stream, None)
        if (task := self._under_way.pop(stream, None)) is not None:
            task.cancel()

    def _take(self, stream: int) -> None:
        headers = self._headers.pop(stream)
        request = Request(
            method=headers.pop(":method"),
            path=headers.pop(":path"),
            headers={name: value for name, value in headers.items() if not name.startswith(":")},
            body=bytes(self._bodies.pop(stream)),
            connection=self.number,
            stream=stream,
        )
        self._server.requests.append(request)
        self._under_way[stream] = asyncio.ensure_future(self._answer(request))
        self._server.most_streams = max(self._server.most_streams, len(self._under_way))

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self._server._handle(request)
            if reply is Fault.HANG:
                await asyncio.Event().wait()
        finally:
            self._under_way.pop(request.stream, None)
        if isinstance(reply, Reply):
            self._reply(request.stream, reply)
        else:
            self._break(request.stream, reply)
        self._flush()

    def _reply(self, stream: int, reply: Reply) -> None:
        self._h2.send_headers(stream, [(":status", str(reply.status)), *reply.headers.items()])
        self._waiting[stream] = reply.body
        self._send_body(stream)

    def _send_body(self, stream: int) -> None:
        body = self._waiting.pop(stream)
        while body and (room := self._h2.local_flow_control_window(stream)):
            size = min(room, self._h2.max_outbound_frame_size)
            self._h2.send_data(stream, body[:size])
            body = body[size:]
        if body:
            self._waiting[stream] = body
        else:
            self._h2.end_stream(stream)

    def _break(self, stream: int, fault: Fault) -> None:
        assert self._transport is not None
        match fault:
            case Fault.RESET_STREAM:
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            case Fault.GO_AWAY_UNSEEN:
                self._h2.close_connection(last_stream_id=max(0, stream - 2))
            case Fault.GO_AWAY_SEEN:
                self._h2.close_connection(last_stream_id=stream)
                self._flush()
                self._transport.close()
            case Fault.CUT:
                self._transport.abort()
            case Fault.VIOLATION:
                self._transport.write(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")  # DATA on stream 0
            case Fault.NOISE:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\nwhat is this?")
            case Fault.HANG:
                raise AssertionError("handled before")

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
