"""The clients of `bench_fanout.py`: many WebSockets in one thread that count messages and do nothing else.

readers.py HOST PORT edge|plain SOCKETS SECRET USERS
stdin: "open" -> opens all, answers how many are ready; "count" -> answers how many messages came so far
"""

import base64
import os
import selectors
import socket
import sys
import time

import jwt

_NEEDLE = b'"event":"new-message"'
_NEEDLE_SPACED = b'"event": "new-message"'


class Readers:
    """The sockets."""

    def __init__(self, host: str, port: int, *, secret: str, users: int) -> None:
        self._address = (host, port)
        self._secret = secret
        self._users = users
        self._selector = selectors.DefaultSelector()
        self._ready: set[int] = set()
        self._tails: dict[int, bytes] = {}
        self.count = 0

    def open(self, sockets: int, *, ready_needle: bytes) -> int:
        """Opens all, one after the other; gives how many said they are ready."""
        for number in range(sockets):
            peer = socket.create_connection(self._address)
            claims = {"sub": f"user{number % self._users}", "exp": int(time.time()) + 600}
            token = jwt.encode(claims, self._secret, algorithm="HS256")
            key = base64.b64encode(os.urandom(16)).decode()
            peer.sendall(
                f"GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                f"Authorization: Bearer {token}\r\n\r\n".encode()
            )
            received = b""
            while ready_needle not in received:
                chunk = peer.recv(65536)
                assert chunk, received
                received += chunk
            peer.setblocking(False)
            self._selector.register(peer, selectors.EVENT_READ)
        return sockets

    def turn(self) -> bool:
        """Reads what there is; false when there is a question on stdin."""
        asked = False
        for key, _ in self._selector.select(1.0):
            if key.fileobj is sys.stdin:
                asked = True
                continue
            peer = key.fileobj
            assert isinstance(peer, socket.socket)
            data = self._tails.pop(key.fd, b"") + peer.recv(262144)
            self.count += data.count(_NEEDLE) + data.count(_NEEDLE_SPACED)
            # A needle may be cut in two by the read; what follows the last whole one is looked at again.
            cut = max(data.rfind(_NEEDLE) + len(_NEEDLE), data.rfind(_NEEDLE_SPACED) + len(_NEEDLE_SPACED))
            tail = data[max(cut, len(data) - len(_NEEDLE_SPACED)) :] if cut > 0 else data[-len(_NEEDLE) :]
            if tail:
                self._tails[key.fd] = tail
        return asked

    def serve(self, sockets: int, ready_needle: bytes) -> None:
        """Answers questions until stdin ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if not self.turn():
                continue
            question = sys.stdin.readline().strip()
            if not question:
                return
            print(
                self.open(sockets, ready_needle=ready_needle) if question == "open" else self.count,
                flush=True,
            )


if __name__ == "__main__":
    host, port, kind, sockets, secret, users = sys.argv[1:]
    readers = Readers(host, int(port), secret=secret, users=int(users))
    readers.serve(int(sockets), b'"welcome"' if kind == "edge" else b"\r\n\r\n")
