"""One WebSocket connection: bytes in, messages out to its session; frames in, bytes out to the socket.

Nothing here waits and no task is made: frames for a connection gather during a turn of the event loop, and at
its end the flusher writes them with one call. When the peer reads too slowly they gather here, up to a limit.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

from edge import metrics
from edge.protocol.codec import Codec
from edge.protocol.errors import ProtocolError, close_code_of
from edge.websocket.backlog import Backlog
from edge.websocket.flusher import Flusher
from edge.websocket.framing import (
    DATA,
    FrameReader,
    Message,
    Opcode,
    check_close_payload,
    close_frame,
    frame,
)
from edge.websocket.rate_limit import FrameBudget, Verdict
from edge.websocket.transport import Send
from mesh.errors import ParleyError
from mesh.logs import get_logger
from mesh.token_bucket import TokenBucket
from parley.edge.v1.close_codes import CloseCode
from parley.edge.v1.frames import ServerFrame

_PING: Final = frame(Opcode.PING, b"")
_OPCODES: Final = (Opcode.TEXT, Opcode.BINARY)  # by whether a codec is binary

# How long a peer may take over what a replay sent, a few dozen kilobytes, before it counts as not reading.
_DRAINED_SECONDS: Final = 20.0

# What a read of the socket costs, and a frame, each as the bytes that cost as much (bench/bench_received.py).
READ_PRICE: Final = 1024
FRAME_PRICE: Final = 256
# Answers that may wait for the welcome: a client that waits for it causes none.
_MOST_BEFORE_WELCOME: Final = 256
# What is paid for at once: a read of the socket may hold tens of thousands of empty frames.
_PIECE: Final = 16 * 1024

_log = get_logger()


def framed(codec: Codec, shown: ServerFrame) -> bytes:
    """What the edge says as a complete WebSocket frame, which many connections of that codec may share."""
    return frame(_OPCODES[codec.is_binary], codec.encode(shown))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may cost.

    `frames_...` counts messages, `bytes_...` everything that is received: its bytes, and a price for
    each frame and each read of the socket.
    """

    max_message_bytes: int
    max_buffer_bytes: int
    frames_per_second: float
    frames_burst: int
    frame_bytes: int
    bytes_per_second: float
    bytes_burst: float
    close_linger_seconds: float = 5.0


class Receiver(Protocol):
    """The session of a connection. Called from the event loop; must neither wait nor raise but as said."""

    def on_open(self) -> None:
        """Called once, first. From now on the welcome may be sent; what is sent before waits for it."""

    def on_message(self, payload: bytes) -> None:
        """The client sent a message of the connection's codec.

        Raises:
            ProtocolError: it is none, and the connection cannot go on.
        """

    def on_limited(self, payload: bytes, retry_after_ms: int) -> None:
        """The client sent a message beyond its budget: refuse it. Raises as `on_message`."""

    def on_closed(self) -> None:
        """Called once, last: the connection is gone."""


ReceiverFactory: TypeAlias = Callable[["Connection"], Receiver]


class Connection(asyncio.Protocol):
    """One client's socket after the handshake.

    `user_id` is proved; `early` are bytes that came behind the handshake. Once the socket is ours `receiver`
    makes the receiver of what comes. `congested` is true while the peer
    reads more slowly than it is written to, `open` until a close frame went one way or the other.
    """

    __slots__ = (
        "_backlog",
        "_broken",
        "_budget",
        "_bytes",
        "_drained",
        "_early",
        "_flusher",
        "_heard",
        "_limits",
        "_linger",
        "_loop",
        "_make_receiver",
        "_outbox",
        "_pong",
        "_reader",
        "_receiver",
        "_send",
        "_transport",
        "_welcomed",
        "codec",
        "congested",
        "id",
        "open",
        "user_id",
    )

    def __init__(
        self,
        send: Send,
        connection_id: str,
        user_id: str,
        *,
        codec: Codec,
        limits: ConnectionLimits,
        flusher: Flusher,
        receiver: ReceiverFactory,
        early: bytes = b"",
    ) -> None:
        self.id: Final = connection_id
        self.user_id: Final = user_id
        self.codec: Final = codec
        self.open = False
        self.congested = False
        self._limits = limits
        self._flusher = flusher
        self._welcomed = False
        self._make_receiver = receiver
        self._receiver: Receiver
        self._send = send
        self._early = early
        self._reader = FrameReader(limits.max_message_bytes)
        self._budget = FrameBudget(limits.frames_per_second, limits.frames_burst)
        self._bytes = TokenBucket(limits.bytes_per_second, limits.bytes_burst)
        self._outbox: list[bytes] = []
        self._backlog: Backlog | None = None
        self._pong: bytes | None = None  # the latest, while the peer does not read
        self._heard = True
        self._broken = False
        self._linger: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def tell(self, shown: ServerFrame) -> None:
        """Sends a frame that is for this connection alone."""
        self.send(framed(self.codec, shown))

    def send(self, data: bytes) -> None:
        """Queues a complete frame; it leaves at the end of this turn, after the welcome and those before it.

        Ignored once the connection is closing.
        """
        if self.open:
            outbox = self._outbox
            if not outbox and self._welcomed:
                self._flusher.add(self)
            outbox.append(data)

    def welcome(self, shown: ServerFrame) -> None:
        """Sends the first frame, and then whatever is sent."""
        if self.open:
            self._welcomed = True
            self._outbox.insert(0, framed(self.codec, shown))
            self._flusher.add(self)
            if self._pong is not None:
                self._outbox.append(self._pong)
                self._pong = None

    def send_latest(self, key: str, data: bytes) -> None:
        """Sends what only the latest of counts: for a slow peer the next of this `key` replaces it."""
        if not self.congested:
            self.send(data)
        elif self.open:
            self._held.hold_latest(key, data)

    async def drained(self) -> None:
        """Returns once the kernel has taken all that was sent, or the connection closes. For one task.

        A peer that takes too long over it is disconnected with `SLOW_CONSUMER`.
        """
        metrics.SENT_BYTES.inc(self.flush())
        try:
            async with asyncio.timeout(_DRAINED_SECONDS):
                while self.congested and self.open:
                    self._drained = self._loop.create_future()
                    await self._drained
        except TimeoutError:
            self.close(CloseCode.SLOW_CONSUMER)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Sends what is queued, then the close frame; the connection ends once the peer agrees or time is up.

        A peer that does not read loses its backlog: `SLOW_CONSUMER` tells it to resume. `reason` is told in
        place of the code's own. Idempotent.
        """
        if not self.open:
            return
        self._flush_last()
        self._end()
        self._transport.write(close_frame(code, reason))
        self._linger = self._loop.call_later(self._limits.close_linger_seconds, self._transport.abort)
        metrics.CLOSES.labels(code.name).inc()
        _log.debug("connection.closing", connection_id=self.id, code=int(code))

    def refuse(self, error: ParleyError) -> None:
        """Closes because the session is refused; the reason begins with the error's code."""
        self.close(close_code_of(error), f"{error.code}: {error.message}")

    def ping_or_abort(self) -> None:
        """Pings a connection that was heard of since the last call, ends one that was not."""
        if not self._heard:
            _log.info("connection.dead", connection_id=self.id)
            self._transport.abort()
            return
        self._heard = False
        if not self.congested:
            self.send(_PING)

    def flush(self) -> int:
        """Writes what is queued with one call; gives the number of bytes. For the flusher."""
        outbox = self._outbox
        if not outbox:
            return 0
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        if self.congested:
            self._hold_back(data)
            return 0
        # Not congested means that the transport holds nothing (see `connection_made`), so the order is kept.
        # `send` on the socket costs about a microsecond less than the transport's `write`.
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return 0  # the peer is gone; the transport finds out by itself
        if sent < len(data):
            self._transport.write(data[sent:])
        return len(data)

    @property
    def _held(self) -> Backlog:
        self._backlog = self._backlog or Backlog()
        return self._backlog

    def _hold_back(self, data: bytes) -> None:
        self._held.hold(data)
        waiting = self._held.size + self._transport.get_write_buffer_size()
        if waiting > self._limits.max_buffer_bytes:
            metrics.SLOW_CONSUMERS.inc()
            _log.info("connection.slow_consumer", connection_id=self.id, user_id=self.user_id, bytes=waiting)
            self.close(CloseCode.SLOW_CONSUMER)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast("asyncio.Transport", transport)
        # Congested as soon as the transport holds a byte: what waits then waits here, where it is counted.
        self._transport.set_write_buffer_limits(high=0)
        self.open = True
        metrics.CONNECTIONS.inc()
        self._receiver = self._make_receiver(self)
        self._receiver.on_open()
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        if len(data) <= _PIECE:
            self._take(data)
        else:
            for start in range(0, len(data), _PIECE):
                self._take(data[start : start + _PIECE])

    def _take(self, data: bytes) -> None:
        if self._broken:
            # Read on and throw away: closing a socket with unread bytes resets it, and the peer would lose
            # the close frame that tells it what was wrong.
            return
        reader, before = self._reader, self._reader.frames
        reader.feed(data)
        try:
            while (message := reader.next()) is not None:
                self._on_message(message)
            self._pay(READ_PRICE + len(data) + FRAME_PRICE * (reader.frames - before))
        except ProtocolError as error:
            self._broken = True
            _log.info("connection.violation", connection_id=self.id, code=int(error.code), error=str(error))
            self.close(error.code)
            # Where its next frame begins, its close frame included, is unknown: the end of our side must do.
            self._transport.write_eof()

    def _pay(self, price: float) -> None:
        if self._bytes.take(self._loop.time(), price):
            raise ProtocolError(CloseCode.FLOOD, "more bytes and frames than are allowed")

    def pause_writing(self) -> None:
        """The socket is full."""
        self.congested = True

    def resume_writing(self) -> None:
        """There is room again."""
        self.congested = False
        held = [] if self._pong is None else [self._pong]
        if self._backlog is not None:
            held += self._backlog.take()
        if held:
            self._pong = self._backlog = None
            self._outbox[:0] = held
            metrics.SENT_BYTES.inc(self.flush())
        self._wake()

    def connection_lost(self, _error: Exception | None) -> None:
        """The socket is gone."""
        self._end()
        if self._linger is not None:
            self._linger.cancel()
        metrics.CONNECTIONS.dec()
        self._receiver.on_closed()

    def _flush_last(self) -> None:
        if self._welcomed and not self.congested:
            self.flush()

    def _end(self) -> None:
        self.open = False
        self._outbox.clear()
        self._backlog = self._pong = None
        self._wake()

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _on_message(self, message: Message) -> None:
        # A whole message, not a byte now and then: who drips one never answers a ping.
        self._heard = True
        opcode, payload = message
        if opcode is Opcode.CLOSE:
            self._on_close(payload)
        elif not self.open:
            pass
        elif opcode is Opcode.PING:
            self._answer_ping(frame(Opcode.PONG, payload))
        elif opcode is _OPCODES[self.codec.is_binary]:
            self._on_data(payload)
        elif opcode in DATA:
            raise ProtocolError(CloseCode.UNSUPPORTED_DATA, f"{opcode.name} message")

    def _answer_ping(self, pong: bytes) -> None:
        # Whatever else is refused. RFC 6455 section 5.5.3 asks for an answer to the latest ping alone: for a
        # peer that does not read no other is kept.
        if self.congested or not self._welcomed:
            self._pong = pong
        else:
            self.send(pong)

    def _on_data(self, payload: bytes) -> None:
        verdict = self._budget.take(self._loop.time(), 1 + len(payload) // self._limits.frame_bytes)
        if verdict is Verdict.FLOOD or (not self._welcomed and len(self._outbox) >= _MOST_BEFORE_WELCOME):
            raise ProtocolError(CloseCode.FLOOD, "far more messages than are allowed")
        if verdict is Verdict.ALLOWED:
            self._receiver.on_message(payload)
        else:
            self._receiver.on_limited(payload, self._budget.retry_after_ms)

    def _on_close(self, payload: bytes) -> None:
        if self.open:
            check_close_payload(payload)
            self._flush_last()
            self._end()
            # RFC 6455 section 5.5.1: the answer to a close frame typically echoes its code.
            self._transport.write(frame(Opcode.CLOSE, payload[:2]))
        self._transport.close()
