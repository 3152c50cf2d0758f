"""What `make run` reads from the environment, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack.errors import SettingsError
from devstack.paths import PORTS_VARIABLE, port_shift
from devstack.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class PortSetting:
    """A port that something listens on, and the variable that sets it; 0 takes any free one.

    `PARLEY_DEVSTACK_PORTS` moves the default.
    """

    variable: str
    default: int
    what: str


@dataclass(frozen=True, slots=True)
class Service:
    """One of Parley's processes."""

    name: str
    module: str
    port: PortSetting
    admin_port: PortSetting


@dataclass(frozen=True, slots=True)
class Backing:
    """A kind of backing server, and the variable by which one of the user's own replaces it."""

    kind: str
    url_variable: str
    port: PortSetting


def _service(name: str, module: str, port: int, admin_port: int, what: str) -> Service:
    prefix = f"PARLEY_{name.upper()}"
    return Service(
        name,
        module,
        PortSetting(f"{prefix}_PORT", port, what),
        PortSetting(f"{prefix}_ADMIN_PORT", admin_port, f"health and metrics of {name}"),
    )


def _backing(kind: str, name: str, port: int) -> Backing:
    variable = f"PARLEY_DEVSTACK_{name}_PORT"
    return Backing(kind, f"PARLEY_{name}_URL", PortSetting(variable, port, f"the private {kind}"))


#: In the order of their start; they end in the reverse order.
SERVICES = (
    _service("persist", "persist_service", 50052, 9152, "gRPC of persist_service"),
    _service("notify", "notify_service", 50053, 9153, "gRPC of notify_service"),
    _service("chat", "chat_service", 50051, 9151, "gRPC of chat_service"),
    _service("edge", "edge", 8080, 9080, "WebSocket and REST"),
)

#: Ports away from the defaults: Debian's packages may have started servers of their own there.
BACKINGS = (
    _backing("redis", "REDIS", 16379),
    _backing("rabbitmq", "AMQP", 16672),
    _backing("mongo", "MONGO", 17017),
)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `make run` needs to know before it starts."""

    bind_host: str
    #: Port by variable, for everything that will listen.
    ports: Mapping[str, int]
    #: Address by kind, for the backing servers that the user brings.
    given_urls: Mapping[str, str]

    def port(self, setting: PortSetting) -> int:
        """The port that was chosen."""
        return self.ports[setting.variable]

    @property
    def reachable_host(self) -> str:
        """The host part by which this machine reaches its own services, in brackets for IPv6."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind_host, self.bind_host)
        return f"[{host}]" if ":" in host else host


def read_settings(environ: Mapping[str, str]) -> RunSettings:
    """Read and check the settings of `make run`.

    Raises:
        SettingsError: some cannot be used; the message lists each variable at fault.
    """
    bind_host = environ.get("PARLEY_BIND_HOST") or "127.0.0.1"
    given = {b.kind: environ[b.url_variable] for b in BACKINGS if environ.get(b.url_variable)}
    wanted = [
        *(backing.port for backing in BACKINGS if backing.kind not in given),
        *(port for service in SERVICES for port in (service.port, service.admin_port)),
    ]
    ports: dict[str, int] = {}
    problems: list[str] = []
    shift = 0
    try:
        shift = port_shift(environ)
    except ValueError as error:
        problems.append(f"{PORTS_VARIABLE}: {error}")
    for setting in wanted:
        text = environ.get(setting.variable)
        if not text:
            moved = setting.default + shift
            if not 0 < moved <= _HIGHEST_PORT:
                problems.append(f"{PORTS_VARIABLE}: {shift:+d} moves {setting.variable} to {moved}")
                continue
            text = str(moved)
        plain = text.isascii() and text.isdecimal() and len(text) <= len(str(_HIGHEST_PORT))
        if not plain or int(text) > _HIGHEST_PORT:
            problems.append(f"{setting.variable}: {text!r} is not a port (0 to {_HIGHEST_PORT})")
            continue
        port = int(text) or free_port()
        twin = next((variable for variable, other in ports.items() if other == port), None)
        if twin is not None:
            problems.append(f"{setting.variable}: {port} is the port of {twin} too")
        ports[setting.variable] = port
    if problems:
        raise SettingsError("the settings are not usable:\n  " + "\n  ".join(problems))
    return RunSettings(bind_host=bind_host, ports=ports, given_urls=given)
