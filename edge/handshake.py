"""`GET /ws`: proves who connects, agrees on a protocol, and hands the socket to the gateway.

What can be refused is refused here, with an HTTP status and the same JSON error as the REST API. Browsers
show their pages nothing of that: where a page asks, what is wrong with its token or origin is told by a close
code right after the upgrade, at the same price and with no session.

A page of another site has no token, and no cookie counts here; its `Origin` is refused all the same, so that
a token which leaked into a URL is not used from anywhere.
"""

import asyncio
import base64
import binascii
import hashlib
import socket
from functools import cache
from http import HTTPStatus
from typing import Final

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from edge import metrics
from edge.admission import Admission, Ticket
from edge.identity import SUBPROTOCOL_PREFIX, Identity, bearer_of, extract_token
from edge.protocol.codec import CODECS, JSON
from edge.rest.errors import invalid
from edge.rest.handler import RestDeps, RestHandler
from edge.rest.operation import Access, Operation
from edge.sessions.gateway import Gateway
from mesh.errors import InvalidArgument, ParleyError, PermissionDenied, Unauthenticated, Unavailable
from mesh.http.exchange import place_of
from mesh.logs import get_logger
from mesh.seldom import Seldom
from parley.common.v1.error_pb2 import ErrorReason

_KNOWN: Final = " or ".join(CODECS)
_VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_KEY_BYTES: Final = 16
# What the host is that the request names is in the log: a proxy's name for this edge is not for everybody.
# Short enough for the reason of a close frame.
_OTHER_ORIGIN: Final = (
    "PARLEY_EDGE_CORS_ORIGINS does not name this origin, nor is it Host, which a proxy must pass on"
)
_ORIGIN_HINT: Final = "a proxy in front must pass Host on, and be trusted to tell that TLS ends in it"
_MAX_EARLY_BYTES: Final = 65536

_log = get_logger()
_origin_refused = Seldom(10.0)


class UpgradeRequired(InvalidArgument):
    """The request asks for no WebSocket, or for one of another version: 426 says what to ask for."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, message)


class HandshakeHandler(RestHandler):
    """Upgrades a request to a WebSocket."""

    operations = (
        Operation(
            method="GET",
            name="openWebSocket",
            summary="Upgrade to a WebSocket",
            answers={HTTPStatus.SWITCHING_PROTOCOLS: None},
            access=Access.PUBLIC,  # the token may stand in places that only a WebSocket request has
        ),
    )

    def initialize(  # type: ignore[override]
        self, deps: RestDeps, gateway: Gateway, admission: Admission
    ) -> None:
        """Receives what the route was registered with."""
        super().initialize(deps)
        self._gateway = gateway
        self._admission = admission

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """GET alone: no other method can become a WebSocket."""
        return ("GET",)

    async def get(self) -> None:
        """Checks the request, answers 101, and leaves HTTP."""
        try:
            ticket = self._admit()
        except ParleyError:
            metrics.HANDSHAKES.labels("turned away").inc()
            raise
        try:
            await self._upgrade(ticket)
        except BaseException:
            ticket.leave()
            raise

    def _admit(self) -> Ticket:
        forwarded = self.request.headers.get_list("X-Forwarded-For")
        address = self.deps.proxies.client_of(self.request.remote_ip or "", forwarded)
        return self._admission.enter(address, place_of(self.request))

    async def _upgrade(self, ticket: Ticket) -> None:
        try:
            if self._gateway.draining:
                raise Unavailable(
                    ErrorReason.ERROR_REASON_DRAINING, "this edge is going away", retry_after_ms=1000
                )
            accept_key = self._check_upgrade()
            offered = self._list_of("Sec-WebSocket-Protocol")
            protocol = choose_protocol(offered)
            found = await self._identify(offered)
        except ParleyError:
            metrics.HANDSHAKES.labels("refused").inc()
            raise
        stream = self.detach()
        try:
            await stream.write(_response(accept_key, protocol))
            early = _received_already(stream)
            peer = _take_socket(stream)
        except (StreamClosedError, OSError):
            stream.close()
            ticket.leave()
            return
        if isinstance(found, ParleyError):
            metrics.HANDSHAKES.labels("refused").inc()
            await self._gateway.refuse(peer, found, ticket, early)
        else:
            metrics.HANDSHAKES.labels("accepted").inc()
            await self._gateway.accept(peer, found, ticket, CODECS.get(protocol or "", JSON), early)

    async def _identify(self, offered: list[str]) -> Identity | ParleyError:
        """Who connects, or why not, where that is to be told after the upgrade.

        Raises:
            ParleyError: why not, where HTTP tells it.
        """
        try:
            self._check_origin()
            token = extract_token(
                authorization=self.request.headers.get("Authorization"),
                query=self.query("token"),
                subprotocols=offered,
            )
            return await self.deps.verifier.verify(token)
        except (Unauthenticated, PermissionDenied) as error:
            if self._is_pages(offered):
                return error
            raise

    def _is_pages(self, offered: list[str]) -> bool:
        """Whether a web page asks, or a program that puts its token where pages do."""
        if bearer_of(self.request.headers.get("Authorization")):
            return False  # no page can set it
        in_subprotocol = any(name.startswith(SUBPROTOCOL_PREFIX) for name in offered)
        return in_subprotocol or "Origin" in self.request.headers or "token" in self.request.query_arguments

    def _header(self, name: str) -> str:
        return str(self.request.headers.get(name, ""))

    def _list_of(self, name: str) -> list[str]:
        """The elements of a header that is a list; Tornado has joined several of one name."""
        return [element for part in self._header(name).split(",") if (element := part.strip())]

    def _check_origin(self) -> None:
        origin = self.request.headers.get("Origin")
        if self.deps.origins.allows_socket(origin, self.request.host, secure=self.secure):
            return
        left_out = _origin_refused.due()
        if left_out is not None:
            _log.warning(
                "handshake.origin_refused",
                origin=origin,
                host=self.request.host,
                secure=self.secure,
                hint=_ORIGIN_HINT,
                lines_left_out=left_out,
            )
        raise PermissionDenied(ErrorReason.ERROR_REASON_PERMISSION_DENIED, _OTHER_ORIGIN)

    def _check_upgrade(self) -> str:
        """What RFC 6455 section 4.2.1 asks of a request; gives the accept key."""
        # An HTTP/1.0 request cannot be upgraded, whatever its headers say (RFC 9110 section 7.8).
        if self.request.version == "HTTP/1.0":
            raise UpgradeRequired(
                "a WebSocket takes HTTP/1.1; does a proxy speak 1.0? (nginx: proxy_http_version 1.1)"
            )
        upgrade, connection = (
            {option.lower() for option in self._list_of(name)} for name in ("Upgrade", "Connection")
        )
        if "websocket" not in upgrade or "upgrade" not in connection:
            raise UpgradeRequired(
                "this path takes WebSocket handshakes: Upgrade: websocket and Connection: Upgrade are missing"
            )
        if self._header("Sec-WebSocket-Version") != _VERSION:
            raise UpgradeRequired(f"Sec-WebSocket-Version must be {_VERSION}")
        if len(self.request.headers.get_list("Origin")) > 1:
            raise invalid("there may be one Origin")
        key = self._header("Sec-WebSocket-Key")
        try:
            usable = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
        except (binascii.Error, ValueError):
            usable = False
        if not usable:
            raise invalid("Sec-WebSocket-Key must be 16 bytes in base64")
        digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode()

    def refuse(self, failure: ParleyError, status: HTTPStatus) -> None:
        """Ends the request with an error."""
        if isinstance(failure, UpgradeRequired):
            status = HTTPStatus.UPGRADE_REQUIRED
            self.set_header("Upgrade", "websocket")
            self.set_header("Connection", "Upgrade")
            self.set_header("Sec-WebSocket-Version", _VERSION)
        super().refuse(failure, status)


def choose_protocol(offered: list[str]) -> str | None:
    """The subprotocol to answer with; None when the client named none, which means JSON.

    Raises:
        InvalidArgument: names were offered and none of them can be the answer. A browser ends a connection
            whose answer names none of what its page offered, after others were told that the user is online.
    """
    if not offered:
        return None
    known = [name for name in offered if name in CODECS]
    if not known:
        _log_unanswerable()
        raise invalid(f"none of the subprotocols can be answered; offer {_KNOWN} too, in lower case")
    if any(
        name.lower().startswith(SUBPROTOCOL_PREFIX) > name.startswith(SUBPROTOCOL_PREFIX) for name in offered
    ):
        raise invalid(f"the subprotocol that holds the token begins with {SUBPROTOCOL_PREFIX}, in lower case")
    return known[0]  # clients name first what they prefer (RFC 6455 section 4.1)


@cache  # once in a process: its page does it again and again
def _log_unanswerable() -> None:
    _log.warning(
        "handshake.no_subprotocol",
        hint=f"a client offers subprotocols without {_KNOWN}: it gets 400, and a page sees 1006",
    )


def _response(accept_key: str, protocol: str | None) -> bytes:
    lines = [
        f"HTTP/1.1 {HTTPStatus.SWITCHING_PROTOCOLS} Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key}",
    ]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return "\r\n".join((*lines, "", "")).encode()


def _take_socket(stream: IOStream) -> socket.socket:
    """The stream's socket, for somebody else; the stream is of no use any more."""
    if isinstance(stream, SSLIOStream):
        # A copy of the descriptor would lack the state of TLS. IOStream.start_tls takes it out like this.
        peer = stream.socket
        stream.io_loop.remove_handler(peer)
        stream.socket = None  # type: ignore[assignment]
        return peer
    copy = stream.socket.dup()
    stream.close()
    return copy


def _received_already(stream: IOStream) -> bytes:
    # A client may send frames right behind its request; closing the stream would lose them.
    received = asyncio.ensure_future(stream.read_bytes(_MAX_EARLY_BYTES, partial=True))
    return received.result() if received.done() else b""
