"""A server that takes webhooks, and believes none whose signature the reference library does not verify."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping

WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """A request whose signature was good, or was not asked for."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """How to answer; a status of 0 never answers."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class WebhookReceiver:
    """What arrives at `url`; answered by `replies`, one after the other, and then by `otherwise`."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.url = f"{origin}/hook"
        self.secrets: list[str] = []
        """Any one of them must verify."""
        self.replies: deque[Reply] = deque()
        self.otherwise = Reply()
        self.received: list[Received] = []
        self.forged: list[Received] = []
        """Answered with 401."""
        self.closing = asyncio.Event()
        self._changed = asyncio.Condition()

    async def wait_for(
        self, count: int, wanted: Callable[[Received], bool] = lambda _: True
    ) -> list[Received]:
        """The requests once there are so many of them."""

        def those() -> list[Received]:
            return [request for request in self.received if wanted(request)]

        async with self._changed:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._changed.wait_for(lambda: len(those()) >= count)
            except TimeoutError:
                got = f"{len(those())} of {count} requests, {len(self.forged)} forged"
                raise AssertionError(f"{got}; the last: {self.received[-5:]}") from None
        return those()

    async def take(self, request: Received) -> Reply:
        """Looks at the signature, and decides on the answer."""
        if not self._verifies(request):
            self.forged.append(request)
            return Reply(401)
        async with self._changed:
            self.received.append(request)
            self._changed.notify_all()
        return self.replies.popleft() if self.replies else self.otherwise

    def _verifies(self, request: Received) -> bool:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(request.body, dict(request.headers))
            except WebhookVerificationError:
                continue
            return True
        return False


class _Handler(RequestHandler):
    def initialize(self, receiver: WebhookReceiver) -> None:
        self._receiver = receiver

    async def post(self) -> None:
        headers = {name.lower(): value for name, value in self.request.headers.get_all()}
        reply = await self._receiver.take(Received(self.request.path, headers, self.request.body))
        if reply.status == 0:
            await self._receiver.closing.wait()
            self.detach().close()
            return
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        _ = self.finish(reply.body) if reply.body else self.finish()


@asynccontextmanager
async def webhook_receiver(
    tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[WebhookReceiver]:
    """A receiver on this machine while entered; over https with `tls`, under the name `localhost`."""
    sockets = bind_sockets(port, "127.0.0.1")
    bound = sockets[0].getsockname()[1]
    receiver = WebhookReceiver(f"https://localhost:{bound}" if tls else f"http://127.0.0.1:{bound}")
    application = Application([(r"/.*", _Handler, {"receiver": receiver})], log_function=lambda _: None)
    server = HTTPServer(application, ssl_options=tls)
    server.add_sockets(sockets)
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.stop()
        await server.close_all_connections()
