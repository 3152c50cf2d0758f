"""Connections for which there is no place: the answer says why, as clients expect it, behind their request.

What comes before the request is no answer to it: WebSocket clients and proxies take it for a broken server,
and with TLS nothing can be said before the handshake. So a few at a time are let in to be refused. Their
request is read to the end of its head and not parsed.
"""

import asyncio
import time
from typing import Final

from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from mesh.http.lingering import Lingering
from mesh.token_bucket import TokenBucket

_SECONDS: Final = 5.0  # some round trips, for TLS and a head, by a bad network
_PER_SECOND: Final = 200.0  # a TLS handshake takes 1 ms of CPU (EC key) or 2 (RSA 2048): a fraction of a core
_END_OF_HEAD: Final = rb"\r?\n\r?\n"


class Refusals:
    """The connections that are being refused, each for 5 seconds at most and with one answer.

    Args:
        most: how many at a time, for each holds a descriptor; the oldest makes room for another one.
        max_head_bytes: what is read of each.
        lingering: what ends them.
    """

    def __init__(self, *, most: int, max_head_bytes: int, lingering: Lingering) -> None:
        self._most = most
        self._max_head_bytes = max_head_bytes
        self._lingering = lingering
        self._rate = TokenBucket(_PER_SECOND, _PER_SECOND)
        self._waiting: dict[IOStream, asyncio.Task[None]] = {}

    @property
    def waiting(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def may_begin(self) -> bool:
        """Takes one of the 200 that a second has for this; whether there was one."""
        return self._rate.take(time.monotonic()) == 0

    def begin(self, stream: IOStream, answer: bytes) -> None:
        """Gives `answer`, with its head, to the first request of `stream`, and ends it."""
        if len(self._waiting) >= self._most:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.close()
        self._waiting[stream] = asyncio.create_task(self._refuse(stream, answer), name="refusal")

    async def close(self) -> None:
        """Ends all at once."""
        tasks = list(self._waiting.values())
        for stream in self._waiting:
            stream.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refuse(self, stream: IOStream, answer: bytes) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await stream.read_until_regex(_END_OF_HEAD, max_bytes=self._max_head_bytes)
                await stream.write(answer)
        except (StreamClosedError, UnsatisfiableReadError, TimeoutError):
            stream.close()
        else:
            self._lingering.end_stream(stream)
        finally:
            self._waiting.pop(stream, None)
