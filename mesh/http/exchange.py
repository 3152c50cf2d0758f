"""One request and its answer, on a connection that may go on behind it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream

from mesh.http.lingering import Lingering
from mesh.http.places import Place
from mesh.http.streams import HttpStream
from mesh.numbers import parse_number

READ_ON_BYTES: Final = 1 << 20
"""When a request is refused, a body up to this size is read and dropped, and the connection goes on."""


@dataclass(slots=True)
class Context:
    """What Tornado and the handlers know of a connection."""

    remote_ip: str
    protocol: str
    place: Place

    def __str__(self) -> str:
        return self.remote_ip


@dataclass(frozen=True, slots=True)
class Ways:
    """How an exchange ends: its server's, the same for all of them."""

    parameters: HTTP1ConnectionParameters
    lingering: Lingering
    answer_seconds: float
    """How long the peer may take to read the answer."""
    unreadable: bytes
    """The answer, with its head, to a request that cannot be parsed."""
    going_away: Callable[[], bool]
    """Whether the server takes no more requests."""


class Exchange(HTTP1Connection):
    """Tornado's side of an exchange, with four differences.

    Tornado cuts a connection without a word when it answers before the body was read. Here a body that is
    small enough is read behind the answer, before any other end `Connection: close` is said and the peer is
    given time to read it, and an answer that nobody reads is not kept. What cannot be parsed is answered in
    the server's words, and never twice.

    Args:
        stream: the connection.
        context: what is known of it.
        ways: the server's.
        first: the first bytes of the request, which were read already.
        on_head: called when all of the head has come.
    """

    def __init__(
        self, stream: HttpStream, context: Context, ways: Ways, first: bytes, on_head: Callable[[], None]
    ) -> None:
        super().__init__(stream, is_client=False, params=ways.parameters, context=context)
        stream.unreadable = ways.unreadable
        self._ways = ways
        self._first = first
        self._on_head = on_head

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Called by Tornado to send the head of the answer."""
        cast("HttpStream", self.stream).unreadable = b""  # no second answer to a body that proves so now
        if self._must_end():
            self._disconnect_on_finish = True
            if self._request_headers is not None:
                # Tornado looks at the request's to promise HTTP/1.0 clients that it goes on.
                self._request_headers["Connection"] = "close"
        return super().write_headers(start_line, headers, chunk)

    def finish(self) -> None:
        """Called by Tornado when all of the answer was given."""
        if not self._disconnect_on_finish:
            self._read_finished = True  # or will be: Tornado reads on, and gives the rest to nobody
        super().finish()
        if not self._finish_future.done():
            timer = asyncio.get_running_loop().call_later(self._ways.answer_seconds, self.stream.close)
            self._finish_future.add_done_callback(lambda _: timer.cancel())

    def detach(self) -> IOStream:
        """Called by a handler that takes the connection out of HTTP."""
        cast("Context", self.context).place.hand_on()
        return super().detach()

    def close(self) -> None:
        """Called by Tornado to end the connection behind an answer."""
        stream = cast("IOStream | None", self.stream)
        unread = not self._read_finished or self._ways.going_away()
        if unread and stream is not None and not stream.closed():
            self._ways.lingering.end_stream(stream)
        super().close()

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        self._on_head()
        return super()._parse_headers(self._first + data)

    def _must_end(self) -> bool:
        """Whether the connection cannot go on behind the answer."""
        if self._ways.going_away():
            return True
        if self._read_finished or self._request_headers is None:
            return False
        # The body is not read to its end. A client that waits for `100 Continue` may send it or not.
        if "Transfer-Encoding" in self._request_headers or "Expect" in self._request_headers:
            return True
        announced = self._request_headers.get("Content-Length")
        length = 0 if announced is None else parse_number(announced)
        return length is None or length > READ_ON_BYTES


def place_of(request: HTTPServerRequest) -> Place:
    """The place of the connection that a request came on."""
    return cast("Context", cast("Exchange", request.connection).context).place
