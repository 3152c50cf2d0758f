"""One HTTP/2 connection (RFC 9113) that many requests share."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from mesh.numbers import parse_number
from notify_service.providers.http import MAX_ANSWER, Answer

_CONFIG: Final = h2.config.H2Configuration(client_side=True)
_LOCAL_SETTINGS: Final = {
    h2.settings.SettingCodes.ENABLE_PUSH: 0,
    h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 16_384,
}

Headers = list[tuple[str, str]]


class ConnectionLostError(Exception):
    """The connection, or the one stream, ended before the answer. Whether the server acted is not known."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """A request and what has come of its answer."""

    done: asyncio.Future[Answer]
    unsent: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    def answer(self) -> None:
        """Hands out what has come."""
        self.done.set_result(Answer(self.status, self.headers, bytes(self.body[:MAX_ANSWER])))


class Http2Connection(asyncio.Protocol):
    """Sends requests and hands out answers. No request harms another: one that is cut off resets its stream.

    When the connection ends, for whatever reason, all requests under way fail at once.
    """

    def __init__(self) -> None:
        self._h2 = h2.connection.H2Connection(_CONFIG)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._exchanges: dict[int, _Exchange] = {}
        self._greeted = asyncio.Event()
        """The server's settings are known, or never will be."""
        self._room = asyncio.Event()
        """Set whenever there may be room for another stream."""
        self._lost = ""
        self._heard_at = self._used_at = self._loop.time()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return not self._lost

    @property
    def idle_seconds(self) -> float:
        """How long no request has been under way."""
        return 0.0 if self._exchanges else self._loop.time() - self._used_at

    async def request(self, headers: Headers, content: bytes, patience_seconds: float) -> Answer:
        """The answer to a request. Waits while the server allows no more streams.

        Args:
            headers: the pseudo-headers first, names in lower case.
            content: the body, not empty.
            patience_seconds: one who is cut off after the server said nothing at all for so long ends the
                connection: it is dead, and the next requests shall not wait on it.

        Raises:
            ConnectionLostError: there is no answer.
        """
        since = self._loop.time()
        try:
            await self._wait_for_room()
            stream, exchange = self._begin(headers, content)
            try:
                return await exchange.done
            finally:
                self._end(stream, exchange)
        except asyncio.CancelledError:
            if self._loop.time() - max(since, self._heard_at) >= patience_seconds:
                self.close(f"the server said nothing for {patience_seconds:g} s")
            raise

    def close(self, reason: str) -> None:
        """Ends the connection; requests under way fail with this reason."""
        if self._lost:
            return
        self._lost = reason
        if self._transport is not None:
            with suppress(h2.exceptions.ProtocolError):  # it is over for the other side already
                self._h2.close_connection()
            self._flush()
            self._transport.close()
        self._greeted.set()
        self._room.set()
        for exchange in self._exchanges.values():
            if not exchange.done.done():
                exchange.done.set_exception(ConnectionLostError(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop, as are the next ones."""
        self._transport = cast("asyncio.Transport", transport)
        self._h2.local_settings = h2.settings.Settings(client=True, initial_values=_LOCAL_SETTINGS)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Takes any number of frames."""
        if self._lost:
            return
        self._heard_at = self._loop.time()
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except (h2.exceptions.ProtocolError, ValueError) as error:
            self.close(f"the server broke the protocol: {error}")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._transport = None
        self.close(f"the connection was lost: {exc}" if exc else "the server closed the connection")

    async def _wait_for_room(self) -> None:
        await self._greeted.wait()
        while not self._lost and len(self._exchanges) >= self._h2.remote_settings.max_concurrent_streams:
            self._room.clear()
            await self._room.wait()
        if self._lost:
            raise ConnectionLostError(self._lost)

    def _begin(self, headers: Headers, content: bytes) -> tuple[int, _Exchange]:
        exchange = _Exchange(self._loop.create_future(), content)
        try:
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, headers)
            self._exchanges[stream] = exchange
            self._send_body(stream, exchange)
        except h2.exceptions.ProtocolError as error:
            # Such as all numbers of streams being used up.
            self.close(f"no more requests can be sent: {error}")
            raise ConnectionLostError(self._lost) from error
        self._flush()
        return stream, exchange

    def _end(self, stream: int, exchange: _Exchange) -> None:
        del self._exchanges[stream]
        self._used_at = self._loop.time()
        self._room.set()
        if not exchange.done.cancelled():
            exchange.done.exception()  # seen, also by one who was cut off in the same moment
        elif not self._lost:
            self._reset(stream)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RemoteSettingsChanged():
                self._greeted.set()
                self._room.set()
                self._send_bodies()
            case h2.events.WindowUpdated():
                self._send_bodies()
            case h2.events.ConnectionTerminated(error_code=code):
                self.close(f"the server ends the connection: {code!s}")
            case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=int(length)):
                self._h2.acknowledge_received_data(length, stream)
                self._take_answer(stream, event)
            case h2.events.ResponseReceived() | h2.events.StreamEnded() | h2.events.StreamReset():
                self._take_answer(event.stream_id or 0, event)
            case _:
                pass

    def _take_answer(self, stream: int, event: h2.events.Event) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is None or exchange.done.done():
            return
        match event:
            case h2.events.ResponseReceived(headers=headers):
                _take_headers(exchange, headers or ())
            case h2.events.DataReceived(data=data):
                exchange.body += data or b""
                if len(exchange.body) >= MAX_ANSWER:
                    exchange.answer()
                    self._reset(stream)
            case h2.events.StreamEnded():
                exchange.answer()
            case h2.events.StreamReset(error_code=code):
                exchange.done.set_exception(ConnectionLostError(f"the server reset the stream: {code!s}"))
            case _:
                pass

    def _send_bodies(self) -> None:
        for stream, exchange in self._exchanges.items():
            if not exchange.done.done():
                self._send_body(stream, exchange)

    def _send_body(self, stream: int, exchange: _Exchange) -> None:
        while exchange.unsent:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            part, exchange.unsent = exchange.unsent[:room], exchange.unsent[room:]
            self._h2.send_data(stream, part, end_stream=not exchange.unsent)

    def _reset(self, stream: int) -> None:
        with suppress(h2.exceptions.ProtocolError):  # it has ended meanwhile
            self._h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)


def _take_headers(exchange: _Exchange, headers: Iterable[tuple[bytes | str, bytes | str]]) -> None:
    for name, value in headers:
        exchange.headers[_text(name).lower()] = _text(value)
    status = parse_number(exchange.headers.pop(":status", ""))
    if status is None:
        raise ValueError("an answer without a status")
    exchange.status = status


def _text(raw: bytes | str) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw
