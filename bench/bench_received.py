"""What it costs the edge to receive: a byte, a frame, a read of the socket.

CPU time of one process, sending included. The prices in `edge/websocket/connection.py` are about these, in
bytes.
"""

import asyncio
import socket
import time

import uvloop

from edge.protocol.codec import JSON
from edge.protocol.events import resync_frame
from edge.websocket.connection import FRAME_PRICE, READ_PRICE, Connection, ConnectionLimits
from edge.websocket.flusher import Flusher
from edge.websocket.transport import carry

_ROUNDS = 5
_NO_LIMIT = 1e12


class _Counter:
    """A receiver that waits for `texts` messages and does nothing with them."""

    def __init__(self, texts: int) -> None:
        self.all_came = asyncio.Event()
        self._missing = texts

    def of(self, connection: Connection) -> "_Counter":
        """This one, for its only connection."""
        self._connection = connection
        return self

    def on_open(self) -> None:
        """Takes the welcome for sent."""
        self._connection.welcome(resync_frame("c" * 24))

    def on_message(self, payload: bytes) -> None:
        """Counts."""
        assert payload.decode() is not None
        self._missing -= 1
        if not self._missing:
            self.all_came.set()

    def on_limited(self, payload: bytes, retry_after_ms: int) -> None:
        """Does not happen."""

    def on_closed(self) -> None:
        """The measurement is over."""


def _frame(payload: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 127,)) + size.to_bytes(8)
    return bytes(((0x80 if final else 0) | opcode,)) + length + bytes(4) + payload


async def _seconds(pieces: list[bytes], texts: int) -> float:
    """CPU seconds for `pieces`, each of which arrives by itself, until `texts` messages have come of them."""
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    receiver = _Counter(texts)
    limits = ConnectionLimits(
        max_message_bytes=1 << 24,
        max_buffer_bytes=1 << 20,
        frames_per_second=_NO_LIMIT,
        frames_burst=10**12,
        frame_bytes=1 << 30,
        bytes_per_second=_NO_LIMIT,
        bytes_burst=_NO_LIMIT,
    )
    await carry(
        lambda send: Connection(
            send, "c", "u", codec=JSON, limits=limits, flusher=Flusher(), receiver=receiver.of
        ),
        here,
    )
    loop = asyncio.get_running_loop()
    started = time.process_time()
    for piece in pieces:
        await loop.sock_sendall(there, piece)
        await asyncio.sleep(0)  # the edge's turn
    await receiver.all_came.wait()
    spent = time.process_time() - started
    there.close()
    return spent


async def _measure() -> None:
    text = _frame(b"x" * (1 << 20))
    fragments = _frame(b"", final=False) + _frame(b"", opcode=0, final=False) * 2000 + _frame(b"", opcode=0)
    drips = _frame(b"y" * 2000)
    byte = min([await _seconds([text] * 8, 8) for _ in range(_ROUNDS)]) / (8 << 20)
    frame = min([await _seconds([fragments] * 5, 5) for _ in range(_ROUNDS)]) / (5 * 2002)
    read = min([await _seconds([bytes((b,)) for b in drips], 1) for _ in range(_ROUNDS)]) / len(drips)
    print(f"a byte {byte * 1e9:.1f} ns, a frame {frame * 1e6:.2f} us, a read {read * 1e6:.1f} us")
    print(
        f"in bytes: a frame {frame / byte:.0f} (price {FRAME_PRICE}), a read {read / byte:.0f} ({READ_PRICE})"
    )


if __name__ == "__main__":
    uvloop.run(_measure())
