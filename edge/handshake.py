"""`GET /ws`: proves who connects, agrees on a protocol, and hands the socket to the gateway.

Everything that can be refused is refused here, with an HTTP status and the same JSON error as the REST API.
A page of another site has no token, and no cookie counts here; its `Origin` is refused all the same, so that
a token which leaked into a URL is not used from anywhere.
"""

import asyncio
import base64
import binascii
import hashlib
import socket
from http import HTTPStatus
from typing import Final

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from edge import metrics
from edge.admission import Admission, Ticket
from edge.gateway import Gateway
from edge.identity import extract_token
from edge.rest.errors import invalid
from edge.rest.handler import RestDeps, RestHandler
from mesh.errors import ParleyError, PermissionDenied, Unavailable
from mesh.http.exchange import place_of
from mesh.logs import get_logger
from mesh.seldom import Seldom
from parley.common.v1.error_pb2 import ErrorReason

JSON_PROTOCOL: Final = "parley.v1.json"
_OURS: Final = "parley."
_VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_KEY_BYTES: Final = 16
# What the host is that the request names is in the log: a proxy's name for this edge is not for everybody.
_OTHER_ORIGIN: Final = (
    "pages of this origin may not connect: PARLEY_EDGE_CORS_ORIGINS does not name it, and it is not the host "
    "that the request names. A proxy in front must pass Host on, and be trusted to tell that TLS ends in it"
)
_MAX_EARLY_BYTES: Final = 65536

_log = get_logger()
_origin_refused = Seldom(10.0)


class HandshakeHandler(RestHandler):
    """Upgrades a request to a WebSocket."""

    public = True  # the token may stand in places that only a WebSocket request has

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
            self._check_origin()
            accept_key = self._check_upgrade()
            offered = [
                name.strip() for name in self._header("Sec-WebSocket-Protocol").split(",") if name.strip()
            ]
            protocol = choose_protocol(offered)
            token = extract_token(
                authorization=self.request.headers.get("Authorization"),
                query=self.get_query_argument("token", None),
                subprotocols=offered,
            )
            identity = await self.deps.verifier.verify(token)
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
        metrics.HANDSHAKES.labels("accepted").inc()
        await self._gateway.accept(peer, identity, ticket, early)

    def _header(self, name: str) -> str:
        return str(self.request.headers.get(name, ""))

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
                lines_left_out=left_out,
            )
        raise PermissionDenied(ErrorReason.ERROR_REASON_PERMISSION_DENIED, _OTHER_ORIGIN)

    def _check_upgrade(self) -> str:
        """What RFC 6455 section 4.2.1 asks of a request; gives the accept key."""
        connection = [option.strip().lower() for option in self._header("Connection").split(",")]
        if self._header("Upgrade").lower() != "websocket" or "upgrade" not in connection:
            self.set_header("Upgrade", "websocket")
            raise invalid("this path takes WebSocket handshakes: Upgrade and Connection are missing")
        if self._header("Sec-WebSocket-Version") != _VERSION:
            raise invalid(f"Sec-WebSocket-Version must be {_VERSION}")
        key = self._header("Sec-WebSocket-Key")
        try:
            usable = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
        except (binascii.Error, ValueError):
            usable = False
        if not usable:
            raise invalid("Sec-WebSocket-Key must be 16 bytes in base64")
        digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode()


def choose_protocol(offered: list[str]) -> str | None:
    """The subprotocol to answer with; None when the client named none of ours, which means JSON.

    Raises:
        InvalidArgument: only versions of Parley's protocol were offered that this edge does not speak.
    """
    if JSON_PROTOCOL in offered:
        return JSON_PROTOCOL
    if any(name.startswith(_OURS) for name in offered):
        raise invalid(f"unknown subprotocol; known is: {JSON_PROTOCOL}")
    return None


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
