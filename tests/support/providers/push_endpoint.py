"""A push service for tests: takes Web Push messages over TLS or plain http and reads them as a browser would.

It is as strict as the RFCs allow: what is wrong is answered with 4xx and the reason.

    async with PushEndpoint(authority.server_context()) as endpoint:
        browser = endpoint.subscribe()
        ...register browser.url, browser.p256dh and browser.auth...
        endpoint.script(Reply(503), HANG)
        (push,) = await browser.pushes(1)
        assert push.payload["body"] == "hello"
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tests.support.providers.push_reading import check_vapid, decrypt, encode, point

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

_MAX_BODY = 4096


@dataclass(frozen=True)
class Reply:
    """How one request is answered."""

    status: int = 201
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    raw: bytes | None = None
    """Sent as it is in place of an HTTP answer, and then the connection is closed."""
    hangs: bool = False
    """No answer at all."""


HANG = Reply(hangs=True)


@dataclass(frozen=True)
class Received:
    """One message that a browser could read."""

    payload: dict[str, Any]
    headers: Mapping[str, str]
    """By names in lower case."""
    claims: Mapping[str, Any]
    """Of the VAPID token."""
    body_bytes: int
    status: int
    """What it was answered; 0 for no answer, or nonsense."""
    at: float
    """`time.monotonic()`"""
    connection: int
    """Counts the connections from 1."""


class Browser:
    """A subscription, with the keys that only the browser has."""

    def __init__(self, endpoint: PushEndpoint, application_server_key: str) -> None:
        self._endpoint = endpoint
        self.application_server_key = application_server_key
        self.id = secrets.token_urlsafe(24)
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        self.secret = secrets.token_bytes(16)
        self.gone = False
        """True: its push service answers 410 from now on."""
        self.requests: list[Received] = []
        """All that were readable, however they were answered."""

    @property
    def url(self) -> str:
        return f"{self._endpoint.origin}/push/{self.id}"

    @property
    def p256dh(self) -> str:
        return encode(point(self.private_key.public_key()))

    @property
    def auth(self) -> str:
        return encode(self.secret)

    @property
    def taken(self) -> list[Received]:
        """Those that were answered with 2xx."""
        return [request for request in self.requests if 200 <= request.status < 300]

    async def pushes(self, count: int, seconds: float = 30.0) -> list[Received]:
        """What was taken, once it is at least so many."""
        await self._endpoint.until(lambda: len(self.taken) >= count, seconds)
        return self.taken


class PushEndpoint:
    """The push service while entered. Plain http without a TLS context."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "localhost") -> None:
        self._tls = tls
        self._host = host
        self._browsers: dict[str, Browser] = {}
        self._script: deque[Reply] = deque()
        self._changed = asyncio.Event()
        self._server: _Counting | None = None
        self._port = 0
        self._released = asyncio.Event()
        self.otherwise = Reply()
        """How requests are answered that nothing is scripted for, unless something is wrong with them."""
        self.connections = 0
        self.attempts = 0
        """Requests so far, of any kind."""
        self.complaints: list[str] = []
        """What was wrong with requests."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def origin(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self._port}"

    def subscribe(self, application_server_key: str = "") -> Browser:
        """A new browser; one that names a key takes nothing that is signed with another."""
        browser = Browser(self, application_server_key)
        self._browsers[browser.id] = browser
        return browser

    def script(self, *replies: Reply) -> None:
        """How the next requests are answered, whatever they say."""
        self._script.extend(replies)

    async def start(self) -> None:
        """Listens, again on the same port after `stop`."""
        self._released.clear()
        sockets = bind_sockets(self._port, "127.0.0.1")
        self._port = sockets[0].getsockname()[1]
        application = Application([(r"/push/(.+)", _Push, {"endpoint": self})], log_function=lambda _: None)
        self._server = _Counting(application, ssl_options=self._tls)
        self._server.endpoint = self
        self._server.add_sockets(sockets)

    async def stop(self) -> None:
        """Refuses connections from now on, and closes those there are."""
        self._released.set()
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()

    async def until(self, condition: Any, seconds: float = 30.0) -> None:
        """Returns when the condition holds; it is looked at after each request."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def answer(self, browser_id: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Records a request and says how to answer it."""
        self.attempts += 1
        try:
            return self._judge(browser_id, body, headers)
        finally:
            self._changed.set()

    def _judge(self, browser_id: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        scripted = self._script.popleft() if self._script else None
        browser = self._browsers.get(browser_id)
        if browser is None:
            return scripted or Reply(404, body="no such subscription")
        if browser.gone:
            return scripted or Reply(410, body="the subscription has expired")
        try:
            _check_headers(headers, body)
            claims, key = check_vapid(headers.get("authorization", ""), self.origin, time.time())
            payload = json.loads(decrypt(body, browser.private_key, browser.secret))
        except ValueError as error:
            self.complaints.append(str(error))
            return scripted or Reply(413 if len(body) > _MAX_BODY else 400, body=str(error))
        if browser.application_server_key not in {"", key}:
            return scripted or Reply(403, body="subscribed with another key")
        reply = scripted or self.otherwise
        status = 0 if reply.hangs or reply.raw is not None else reply.status
        browser.requests.append(
            Received(payload, headers, claims, len(body), status, time.monotonic(), self.connections)
        )
        return reply


class _Counting(HTTPServer):
    """Counts connections."""

    endpoint: PushEndpoint

    def handle_stream(self, stream: Any, address: Any) -> None:
        self.endpoint.connections += 1
        super().handle_stream(stream, address)


class _Push(RequestHandler):
    def initialize(self, endpoint: PushEndpoint) -> None:
        self._endpoint = endpoint

    async def post(self, browser_id: str) -> None:
        headers = {name.lower(): value for name, value in self.request.headers.get_all()}
        reply = await self._endpoint.answer(browser_id, self.request.body, headers)
        if reply.hangs:
            await self._endpoint._released.wait()
            return
        if reply.raw is not None:
            stream = self.detach()
            await stream.write(reply.raw)
            stream.close()
            return
        self.set_status(reply.status, "Scripted" if reply.status > 599 else None)
        if reply.status == 201:
            self.set_header("Location", f"{self._endpoint.origin}/message/{secrets.token_urlsafe(8)}")
        for name, value in reply.headers.items():
            self.set_header(name, value)
        if reply.status not in {204, 304}:
            self.finish(reply.body)


def _check_headers(headers: Mapping[str, str], body: bytes) -> None:
    if len(body) > _MAX_BODY:
        raise ValueError("the body is too large")
    if not headers.get("ttl", "").isdigit():
        raise ValueError("TTL is missing")
    if headers.get("content-encoding") != "aes128gcm":
        raise ValueError("the content is not encoded with aes128gcm")
    if headers.get("urgency", "normal") not in {"very-low", "low", "normal", "high"}:
        raise ValueError("Urgency is unknown")
    topic = headers.get("topic", "")
    if len(topic) > 32 or not topic.replace("-", "").replace("_", "").isalnum():
        raise ValueError("Topic is not up to 32 characters of base64url")
