"""Transports for sockets that leave HTTP, with TLS or without.

asyncio makes TLS only on sockets where it did the handshake itself, and here Tornado has done it: a
WebSocket begins as HTTP.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeAlias

_RECORD: Final = 16 * 1024  # the most that one TLS record holds (RFC 8446 section 5.1)
_READS: Final = 16  # records in one turn, before others get theirs

_Wants = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

Send: TypeAlias = Callable[[bytes], int]
"""As `socket.send` of a socket that does not block; for when nothing waits in the transport."""


async def carry(protocol: Callable[[Send], asyncio.Protocol], peer: socket.socket) -> None:
    """Makes the protocol of `peer`, a connected socket that does not block, and gives the connection to it.

    Raises:
        OSError: the peer is gone.
    """
    if isinstance(peer, ssl.SSLSocket):
        transport = TlsTransport(peer)
        transport.start(protocol(transport.send))
    else:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol(peer.send), peer)


class TlsTransport(asyncio.Transport):
    """Carries a protocol over `peer`, which must not block. The protocol is paused as soon as anything waits.

    Like the transports of asyncio: what is written leaves in order, `close` sends it first, and the
    protocol's `connection_lost` comes last and once. `send` goes past the buffer.
    """

    def __init__(self, peer: ssl.SSLSocket) -> None:
        super().__init__({"socket": peer})
        self._peer = peer
        self._fd = peer.fileno()
        self._loop = asyncio.get_running_loop()
        self._protocol: asyncio.Protocol
        self._waiting = bytearray()
        self._paused = False
        self._read_wants_write = False
        self._watching_writes = False
        self._ending = False  # no more is written after what waits
        self._ended = False
        self._closing = False
        self._lost = False
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self, protocol: asyncio.Protocol) -> None:
        """Gives the connection to `protocol`."""
        self._protocol = protocol
        protocol.connection_made(self)
        if not self._closing:
            self._loop.add_reader(self._fd, self._on_ready)
            # What came with the end of the handshake is decrypted already: the socket will not tell of it.
            self._loop.call_soon(self._on_ready)

    def send(self, data: bytes) -> int:
        """As `socket.send` of a socket that does not block; for when nothing waits in the transport.

        What was not taken must go to `write` next: TLS has begun with it.

        Raises:
            BlockingIOError: nothing was taken.
            OSError: the peer is gone.
        """
        sent = 0
        view = memoryview(data)
        try:
            while sent < len(data):
                sent += self._peer.send(view[sent : sent + _RECORD])
        except _Wants:
            if not sent:
                raise BlockingIOError from None
        return sent

    # What asyncio asks of a transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends `data` after what waits."""
        if self._ending or self._lost:
            return
        self._waiting += data
        self._flush()

    def write_eof(self) -> None:
        """Ends this side of the connection once all is sent; what comes from the other is still read."""
        self._ending = True
        self._flush()

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def close(self) -> None:
        """Ends the connection once all is sent."""
        if self._closing:
            return
        self._closing = self._ending = True
        self._loop.remove_reader(self._fd)
        self._flush()

    def abort(self) -> None:
        """Ends the connection now."""
        self._lose(None)

    def is_closing(self) -> bool:
        """Whether the connection is ended, or about to be."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Bytes that wait."""
        return len(self._waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Takes the only limit that there is: none may wait before the protocol is paused."""
        if high or low:
            raise ValueError("only 0")

    # What the event loop calls.

    def _on_ready(self) -> None:
        if not self._lost:
            if not self._closing:
                self._read()
            self._flush()

    def _read(self) -> None:
        self._read_wants_write = False
        try:
            for _ in range(_READS):
                data = self._peer.recv(_RECORD)
                if not data:
                    self.close()
                    return
                self._protocol.data_received(data)
                if self._closing:
                    return
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
            return
        except OSError as error:
            self._lose(error)
            return
        except BaseException:
            self._lose(None)  # as asyncio does: a protocol that failed is in no known state
            raise
        # There may be more that is decrypted already, of which the socket does not tell.
        self._loop.call_soon(self._on_ready)

    def _flush(self) -> None:
        if self._lost:
            return
        try:
            while self._waiting:
                with memoryview(self._waiting)[:_RECORD] as record:
                    # Always from the same place and never less than before, as SSL_write(3) asks of a retry.
                    sent = self._peer.send(record)
                del self._waiting[:sent]
        except _Wants:
            pass
        except OSError as error:
            self._lose(error)
            return
        self._watch_writes()
        self._pause_or_resume()
        if self._ending and not self._waiting:
            self._end()

    def _watch_writes(self) -> None:
        wanted = bool(self._waiting) or self._read_wants_write
        if wanted and not self._watching_writes:
            self._loop.add_writer(self._fd, self._on_ready)
        elif self._watching_writes and not wanted:
            self._loop.remove_writer(self._fd)
        self._watching_writes = wanted

    def _pause_or_resume(self) -> None:
        if self._waiting and not self._paused:
            self._paused = True
            self._protocol.pause_writing()
        elif self._paused and not self._waiting:
            self._paused = False
            self._protocol.resume_writing()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            with contextlib.suppress(OSError, ValueError):
                # Says that the end is no accident (RFC 8446 section 6.1), and waits for no answer.
                self._peer.unwrap()
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._peer, socket.SHUT_WR)  # SSLSocket's own would end reading too
        if self._closing:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = self._ending = True
        self._waiting.clear()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._gone, error)

    def _gone(self, error: Exception | None) -> None:
        self._peer.close()
        self._protocol.connection_lost(error)
