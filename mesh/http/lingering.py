"""Ending a connection so that the peer can read the last answer.

A socket that is closed while bytes of the peer are unread is reset by the kernel, and the reset takes away
what the peer has not read yet (RFC 9112 section 9.6). So this side ends, and what still comes is dropped.
"""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Final

from tornado.iostream import IOStream, SSLIOStream

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 16 << 20
_CHUNK: Final = 65536


class Lingering:
    """The connections that end, `most` at a time: more are closed at once, for each holds a descriptor."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ending: set[asyncio.Task[None]] = set()

    def end_stream(self, stream: IOStream) -> None:
        """Ends the connection of `stream`, of which nothing waits to be sent."""
        try:
            # Another descriptor of the same connection: the stream's own does not outlive the stream.
            peer = socket.socket(fileno=os.dup(stream.socket.fileno()))
        except OSError:
            stream.close()
            return
        if isinstance(stream, SSLIOStream):
            with suppress(OSError, ValueError):
                # Says that the end is no accident (RFC 8446 section 6.1), and waits for no answer.
                stream.socket.unwrap()
        stream.close()
        self.end(peer)

    def end(self, peer: socket.socket) -> None:
        """Ends the connection of `peer`, a socket that does not block."""
        if len(self._ending) >= self._most:
            peer.close()
            return
        task = asyncio.create_task(_drain(peer), name="lingering close")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Waits for none of them any longer."""
        for task in tuple(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)


async def _drain(peer: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    left = _MOST_BYTES
    try:
        peer.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_SECONDS):
            while left > 0 and (got := await loop.sock_recv(peer, _CHUNK)):
                left -= len(got)
                await asyncio.sleep(0)
    except (OSError, TimeoutError):
        pass
    finally:
        peer.close()
