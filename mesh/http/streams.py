"""Tornado's streams, which answer in the server's words where Tornado would in its own."""

from typing import TYPE_CHECKING, Final

from tornado.iostream import IOStream, SSLIOStream

if TYPE_CHECKING:
    import asyncio

# All that Tornado says to a request that it cannot parse, and it asks nobody.
_UNREADABLE: Final = b"HTTP/1.1 400 Bad Request\r\n\r\n"


class HttpStream(IOStream):
    """A connection."""

    unreadable = _UNREADABLE
    """What is answered to a request that cannot be parsed, with its head; empty: nothing."""

    def write(self, data: bytes | memoryview) -> "asyncio.Future[None]":
        """Called by Tornado to send."""
        return super().write(self.unreadable if data == _UNREADABLE else data)


class TlsStream(HttpStream, SSLIOStream):
    """A connection with TLS."""
