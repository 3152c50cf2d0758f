"""Requests whose target is a whole URL (`GET http://host/ws HTTP/1.1`), as clients of proxies send them.

A server must take it (RFC 9112 section 3.2.2); Tornado's routes know paths alone.
"""

import re
from collections.abc import Awaitable
from typing import Final

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

_ABSOLUTE: Final = re.compile(r"(?:https?|wss?)://([^/?#@]+)(/[^#]*|\?[^#]*)?", re.IGNORECASE)


class AbsoluteTargets(HTTPServerConnectionDelegate):
    """Gives `inner` every request with a path as target, and the URL's host as `Host`."""

    def __init__(self, inner: HTTPServerConnectionDelegate) -> None:
        self._inner = inner

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Called for each request."""
        return _Rewritten(self._inner.start_request(server_conn, request_conn))

    def on_close(self, server_conn: object) -> None:
        """Called when a connection is gone."""
        self._inner.on_close(server_conn)


class _Rewritten(HTTPMessageDelegate):
    def __init__(self, inner: HTTPMessageDelegate) -> None:
        self._inner = inner
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.finish = inner.finish  # type: ignore[method-assign]
        self.on_connection_close = inner.on_connection_close  # type: ignore[method-assign]

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        if isinstance(start_line, RequestStartLine) and (match := _ABSOLUTE.fullmatch(start_line.path)):
            # What the header says must be ignored then.
            headers["Host"] = match[1]
            rest = match[2] or ""
            start_line = start_line._replace(path=rest if rest.startswith("/") else f"/{rest}")
        return self._inner.headers_received(start_line, headers)
