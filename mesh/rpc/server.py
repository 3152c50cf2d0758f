"""A gRPC server as every service has it: authenticated, measured, with health, reflection and drain."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from pydantic import SecretStr

from mesh.lifecycle import BindError
from mesh.rpc.access import ACCESS, Rules
from mesh.rpc.auth import TokenVerifier
from mesh.rpc.handlers import HandlerWrapper
from mesh.rpc.messages import request_limit
from mesh.rpc.reflection import SERVICE_NAMES, add_reflection
from mesh.rpc.tls import TlsFiles, server_credentials

CONCURRENCY: Final = 1000
"""Calls served at once by default: far more than edges have under way, and yet answered in time."""

_OPTIONS: Final = (
    # Identity alone. A request is unpacked before a handler sees who calls, and 8 KB may unpack to 8 MB.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Two servers on one port would share calls by chance: let the second fail to bind and say so.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Channels ping every 20 s, also when idle; see mesh.rpc.channel.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # A client looks names up again when its connection ends: this is how it finds servers that were added.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
)

_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_OF_THE_SERVER: Final = frozenset({_HEALTH, *SERVICE_NAMES})
"""Services that are there without being added; health says nothing about them."""


class RpcServer:
    """One gRPC server. Add services, ``start`` it, and ``stop`` it as a phase of the drain.

    Calls need a token for ``name`` whose caller may call the method by ``access``; the health service alone
    needs none. A request is read once its caller is known, and may be as large as its method says. More than
    ``concurrency`` calls at once are refused with OVERLOADED. A call that came without a deadline gets
    ``default_deadline_seconds``. With ``tls`` callers must show a certificate of theirs. Health is
    NOT_SERVING until ``set_serving(True)``.
    """

    def __init__(
        self,
        name: str,
        secret: SecretStr,
        *,
        tls: TlsFiles | None = None,
        access: Mapping[str, Rules] = ACCESS,
        concurrency: int = CONCURRENCY,
        default_deadline_seconds: float = 5.0,
    ) -> None:
        self._wrapper = HandlerWrapper(
            TokenVerifier(secret.get_secret_value(), name),
            default_deadline_seconds,
            access=access,
            concurrency=concurrency,
            certified=tls is not None,
        )
        self._tls = tls
        self._health = health_aio.HealthServicer()
        self._services: dict[str, dict[str, Any]] = {}
        self._server: grpc.aio.Server | None = None
        self._stopped = False

    def add(self, add_to_server: Callable[[Any, Any], None], servicer: object) -> None:
        """Serves ``servicer``: ``server.add(add_ChatServiceServicer_to_server, servicer)``."""
        add_to_server(servicer, _Registrar(self._register))

    async def start(self, host: str, port: int, *, field: str) -> int:
        """Listens and gives the bound port (``port`` 0 takes any free one).

        Raises:
            BindError: the port is not free; ``field`` is the settings field that names it.
        """
        self.add(health_pb2_grpc.add_HealthServicer_to_server, self._health)
        add_reflection(self.add, tuple(self._services))
        await self.set_serving(serving=False)
        self._server = server = self._made()
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._tls is None:
                bound = server.add_insecure_port(address)
            else:
                bound = server.add_secure_port(address, server_credentials(self._tls))
        except RuntimeError as error:
            raise BindError(host, port, field) from error
        await server.start()
        return bound

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - a readiness listener takes it like this
        """Tells the health service, overall (``""``) and for each service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for service in ("", *(name for name in self._services if name not in _OF_THE_SERVER)):
            await self._health.set(service, status)

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls, gives those in flight ``grace_seconds``, then cancels them.

        Repeatable: when it is cancelled because a drain's time is up, leaving the server ends what is left.
        """
        if not self._stopped:
            await self._health.enter_graceful_shutdown()
            if self._server is not None:
                await self._server.stop(grace_seconds)
            self._stopped = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(0)

    def _register(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._services[service] = {
            name: self._wrapper.wrap(f"{service}/{name}", handler) for name, handler in handlers.items()
        }

    def _made(self) -> grpc.aio.Server:
        """A server of what was added, which takes no larger messages than that needs.

        Twice the largest request, because what gRPC refuses by itself it refuses in its own words.
        """
        largest = max(
            request_limit(f"{service}/{name}")
            for service, methods in self._services.items()
            for name in methods
        )
        server = grpc.aio.server(options=(*_OPTIONS, ("grpc.max_receive_message_length", 2 * largest)))
        for service, handlers in self._services.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
            server.add_registered_method_handlers(service, handlers)
        return server


class _Registrar:
    """Stands where generated code expects a server, and catches the handlers it registers."""

    def __init__(self, register: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._register = register

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """The same handlers come by name too, through ``add_registered_method_handlers``."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Called by generated code, once for each service."""
        self._register(service, handlers)
