"""The whole mesh as real processes on real servers: two edges, three services, and what they call."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx
import jwt
from pymongo import MongoClient

from chaos.full_disk import surviving
from chaos.links import Route, straight
from devstack.ports import free_port
from devstack.process import ManagedProcess, stop_all
from devstack.servers import BackingServer, MongoServer, RabbitMQServer, RedisServer

ROOT: Final = Path(__file__).resolve().parents[1]
SERVICE_SECRET: Final = "service-secret-of-the-end-to-end-tests"  # noqa: S105 - of a mesh that lives for one run
JWT_SECRET: Final = "user-token-secret-of-the-end-to-end-tests"  # noqa: S105 - as above
START_SECONDS: Final = 30.0
CLIENTS: Final = "clients"
"""The name of the clients as callers."""


_COMMON: Final = {
    "PATH": os.environ["PATH"],
    "PARLEY_ENV": "development",
    "PARLEY_SERVICE_SECRET": SERVICE_SECRET,
    "PARLEY_JWT_SECRET": JWT_SECRET,
    "PARLEY_JWT_AUDIENCE": "parley",
    "PARLEY_DRAIN_SECONDS": "5",
}
_URLS: Final = {"redis": "PARLEY_REDIS_URL", "rabbitmq": "PARLEY_AMQP_URL", "mongo": "PARLEY_MONGO_URL"}


def code_of(root: Path) -> dict[str, str]:
    """The variables by which a process runs the code of one checkout, which is its working directory too."""
    return {"PYTHONPATH": f"{root}:{root / 'gen'}"}


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of process: the module it runs and whom it calls."""

    module: str
    calls: tuple[str, ...]

    def ports(self, port: int, admin_port: int) -> dict[str, str]:
        """The variables that say where it listens."""
        area = self.module.removesuffix("_service").upper()
        return {f"PARLEY_{area}_PORT": str(port), f"PARLEY_{area}_ADMIN_PORT": str(admin_port)}


#: Process names in the order of their start.
PARTS: Final = {
    "persist": Part("persist_service", ("redis", "rabbitmq", "mongo")),
    "notify": Part("notify_service", ("rabbitmq", "mongo", "persist")),
    "chat": Part("chat_service", ("redis", "rabbitmq", "persist")),
    "edge-a": Part("edge", ("redis", "chat", "notify")),
    "edge-b": Part("edge", ("redis", "chat", "notify")),
}


#: The names of all links, as `chaos.links.Links` has them.
LINKS: Final = (
    *(f"{name}>{callee}" for name, part in PARTS.items() for callee in part.calls),
    *(f"{CLIENTS}>{name}" for name, part in PARTS.items() if part.module == "edge"),
)


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where each process finds those that it calls."""

    servers: Mapping[str, BackingServer]
    service_ports: Mapping[str, int]
    route: Route

    def variables(self, caller: str) -> dict[str, str]:
        """The variables that tell it."""
        return dict(self._variable(caller, callee) for callee in PARTS[caller].calls)

    def _variable(self, caller: str, callee: str) -> tuple[str, str]:
        server = self.servers.get(callee)
        if server is None:
            port = self.route(caller, callee, self.service_ports[callee])
            return f"PARLEY_{callee.upper()}_TARGET", f"dns:///127.0.0.1:{port}"
        port = self.route(caller, callee, server.port)
        return _URLS[callee], server.url.replace(f":{server.port}", f":{port}")


class MeshError(Exception):
    """The mesh did not start; the message ends with the last lines of the log at fault."""


@dataclass(slots=True)
class Service:
    """One process of the mesh on ports that stay the same when it is started again.

    `public_port` is where its callers of one kind, clients, find it: through a proxy if there is one.
    """

    process: ManagedProcess
    port: int
    admin_port: int
    public_port: int

    async def ready(self) -> None:
        """Returns once the process says that it can work.

        Raises:
            MeshError: it ended, or did not say so within 30 s.
        """
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(timeout=2) as http:
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.admin_port}/readyz")).status_code == 200:  # noqa: PLR2004
                        return
                except httpx.TransportError:
                    if not self.process.running:
                        raise MeshError(f"{self.process.name} ended:\n{self.process.log_tail()}") from None
                if time.monotonic() > deadline:
                    raise MeshError(f"{self.process.name} is not ready:\n{self.process.log_tail()}")
                await asyncio.sleep(0.05)

    async def restart(self) -> None:
        """Starts it again after its end, and waits until it can work."""
        self.process.start()
        await self.ready()


@dataclass(slots=True)
class Mesh:
    """What a test needs to know of the running system."""

    redis: RedisServer
    rabbitmq: RabbitMQServer
    mongo: MongoServer
    databases: "MongoClient[dict[str, Any]]"
    persist: Service
    notify: Service
    chat: Service
    edges: tuple[Service, Service]

    @classmethod
    def start(
        cls, folder: Path, stack: ExitStack, *, code: Path = ROOT, route: Route = straight, **settings: str
    ) -> Self:
        """Starts everything without waiting for the services; ``stack`` ends it again.

        ``code`` is the checkout that the services run. ``route`` may put a proxy between any two parts, see
        `chaos.links`.
        """
        with surviving():
            redis = stack.enter_context(RedisServer())
            rabbitmq = stack.enter_context(RabbitMQServer())
            mongo = stack.enter_context(MongoServer())
        ports = {name: free_port() for name in PARTS}
        targets = _Targets({item.name: item for item in (redis, rabbitmq, mongo)}, ports, route)
        services: dict[str, Service] = {}
        stack.callback(lambda: stop_all([services[name].process for name in reversed(services)]))
        for name, part in PARTS.items():
            admin_port = free_port()
            ports_of = part.ports(ports[name], admin_port)
            env = {**_COMMON, **code_of(code), **ports_of, **targets.variables(name), **settings}
            process = ManagedProcess(
                name, [sys.executable, "-m", part.module], log_path=folder / f"{name}.log", env=env, cwd=code
            )
            process.start()
            public = route(CLIENTS, name, ports[name]) if part.module == "edge" else ports[name]
            services[name] = Service(process, ports[name], admin_port, public)
        return cls(
            redis=redis,
            rabbitmq=rabbitmq,
            mongo=mongo,
            databases=stack.enter_context(MongoClient(mongo.url, timeoutMS=5_000)),
            persist=services["persist"],
            notify=services["notify"],
            chat=services["chat"],
            edges=(services["edge-a"], services["edge-b"]),
        )

    @property
    def services(self) -> tuple[Service, ...]:
        """All processes, in the order in which they should end."""
        return (*self.edges, self.chat, self.notify, self.persist)

    async def ready(self) -> None:
        """Returns once every service can work; raises as `Service.ready`."""
        await asyncio.gather(*(item.ready() for item in self.services))

    def database(self, name: str = "parley") -> Any:
        """The database as an operator sees it."""
        return self.databases[name]


def token(user_id: str, **claims: Any) -> str:
    """A good token of a user, unless ``claims`` spoil it."""
    now = int(time.time())
    usual = {"sub": user_id, "name": user_id.title(), "aud": "parley", "iat": now, "exp": now + 600}
    return jwt.encode({**usual, **claims}, JWT_SECRET, algorithm="HS256")
