"""The admin port of a process: ``/metrics``, ``/healthz`` and ``/readyz``. Not for the public network."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from tornado.web import Application, RequestHandler

from mesh.http.places import Places
from mesh.http.server import HttpLimits, HttpServer
from mesh.listening import listen
from mesh.readiness import Readiness

# Prometheus and probes: few, quick, and what more comes must not take the service's descriptors.
_LIMITS: Final = HttpLimits(request_seconds=10.0, idle_seconds=120.0, max_body_bytes=65536)
_MOST_CONNECTIONS: Final = 64


class _Handler(RequestHandler):
    async def get(self) -> None:
        """Answers."""
        raise NotImplementedError

    async def head(self) -> None:
        """As GET without the body: some probes ask so."""
        await self.get()


class MetricsHandler(_Handler):
    """Prometheus metrics in text form."""

    async def get(self) -> None:
        """Answers with every metric of the process."""
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        await self.finish(generate_latest())


class HealthHandler(_Handler):
    """Alive: the event loop turns. Says nothing about dependencies, so an outage restarts nobody."""

    async def get(self) -> None:
        """Answers 200."""
        await self.finish({"status": "alive"})


class ReadyHandler(_Handler):
    """Ready: this process should be sent work."""

    def initialize(self, readiness: Readiness) -> None:
        """Receives what the route was registered with."""
        self._readiness = readiness

    async def get(self) -> None:
        """Answers 200 or 503, with the state of each dependency."""
        ready = self._readiness.ready
        self.set_status(200 if ready else 503)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        await self.finish(json.dumps({"ready": ready, "dependencies": self._readiness.report()}))


@asynccontextmanager
async def open_admin(host: str, port: int, readiness: Readiness, *, field: str) -> AsyncIterator[int]:
    """Serves the admin port while entered; gives the bound port.

    Raises:
        BindError: the port is not free; ``field`` is the settings field that names it.
    """
    application = Application(
        [
            (r"/metrics", MetricsHandler),
            (r"/healthz", HealthHandler),
            (r"/readyz", ReadyHandler, {"readiness": readiness}),
        ],
        # Polled every few seconds, and a 503 of /readyz is an answer: `dependency.down` tells of it, once.
        log_function=_no_access_log,
    )
    sockets = listen(host, port, field=field)
    server = HttpServer(application, limits=_LIMITS, places=Places(_MOST_CONNECTIONS), name="admin")
    try:
        yield server.listen(sockets)
    finally:
        await server.close()


def _no_access_log(_handler: RequestHandler) -> None:
    """Tornado calls this after each request; it would log a 503 as an error."""
