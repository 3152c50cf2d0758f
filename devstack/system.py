"""The whole system as processes: what starts after what, and what ends before what."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from devstack.environment import as_shell, service_environment
from devstack.errors import ServerFailedError, SettingsError
from devstack.keys import write_private
from devstack.paths import ROOT, RUN_DIR
from devstack.ports import require_free
from devstack.process import ManagedProcess, stop_all
from devstack.readiness import not_ready_because
from devstack.servers import BackingServer, MongoServer, RabbitMQServer, RedisServer
from devstack.settings import BACKINGS, SERVICES
from devstack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devstack.settings import RunSettings
    from devstack.stop_signals import StopSignals

LOG_DIR = RUN_DIR / "logs"
ENVIRONMENT = RUN_DIR / "environment"
"""What the services are told, for `python -m admin` and for a service that somebody starts by hand."""

_SERVERS: dict[str, type[BackingServer]] = {
    "redis": RedisServer,
    "rabbitmq": RabbitMQServer,
    "mongo": MongoServer,
}
_POLL_SECONDS = 0.1
_WATCH_SECONDS = 0.2
_REMIND_SECONDS = 5.0
_READY_SECONDS = 60.0
_MIGRATE_WAIT_SECONDS = 30
_SERVICE_STOP_SECONDS = 35.0  # longer than the services' own longest drain by default
_CONFIG_EXIT_CODE = SettingsError.exit_code


class System:
    """Backing servers and services of one `make run`."""

    def __init__(
        self,
        settings: RunSettings,
        environ: Mapping[str, str],
        keys: Mapping[str, str],
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._report = report
        self._servers = {
            backing.kind: _SERVERS[backing.kind](
                port=settings.port(backing.port),
                data_dir=RUN_DIR / "data" / backing.kind,
                log_dir=LOG_DIR,
                port_variable=backing.port.variable,
            )
            for backing in BACKINGS
            if backing.kind not in settings.given_urls
        }
        urls = {kind: server.url for kind, server in self._servers.items()}
        self.env = service_environment(environ, settings, {**urls, **settings.given_urls}, keys)
        self._services = {
            service.name: ManagedProcess(
                service.name,
                [sys.executable, "-m", service.module],
                log_path=LOG_DIR / f"{service.name}.log",
                env=self.env,
                cwd=ROOT,
                stop_seconds=_SERVICE_STOP_SECONDS,
            )
            for service in SERVICES
        }
        self._supervisor = Supervisor(report)

    def start(self, stop: StopSignals) -> bool:
        """Start all of it and wait until it is ready; False when asked to stop before that.

        Raises:
            PortBusyError: a port is taken; nothing was started.
            SettingsError: a service refuses its settings.
            ServerFailedError: something ended, or was not ready in time.
        """
        self._check_ports()
        _rotate_logs()
        write_private(ENVIRONMENT, as_shell(self.env))
        return self._start_servers(stop) and self._migrate(stop) and self._start_services(stop)

    def watch(self, stop: StopSignals) -> None:
        """Restart what dies, until asked to stop."""
        while not stop.wait(_WATCH_SECONDS):
            self._supervisor.tick()

    def stop(self) -> None:
        """End everything: the services from the edge inwards, then the servers at the same time."""
        if all(process.pid is None for process in self._processes()):
            return  # nothing was started
        for process in reversed(self._services.values()):
            if process.running:
                self._report(f"stopping {process.name}")
                process.stop()
        running = [server for server in self._servers.values() if server.running]
        if running:
            self._report(f"stopping {', '.join(server.name for server in running)}")
        mains = [server.processes[-1] for server in self._servers.values() if server.processes]
        stop_all(mains)
        for process in self._processes():  # the helpers, epmd among them, and what only half started
            process.stop()
        self._report("everything has ended")

    def kill(self) -> None:
        """SIGKILL to every process, from a signal handler: does not wait."""
        for process in self._processes():
            process.send_kill()

    def _processes(self) -> list[ManagedProcess]:
        helpers = [process for server in self._servers.values() for process in server.processes]
        return [*self._services.values(), *helpers]

    def _check_ports(self) -> None:
        for kind, server in self._servers.items():
            port = next(backing.port for backing in BACKINGS if backing.kind == kind)
            require_free(server.port, what=port.what, variable=port.variable)
        for service in SERVICES:
            for port in (service.port, service.admin_port):
                require_free(
                    self._settings.port(port),
                    what=port.what,
                    variable=port.variable,
                    host=self._settings.bind_host,
                )

    def _start_servers(self, stop: StopSignals) -> bool:
        for kind in self._settings.given_urls:
            variable = next(backing.url_variable for backing in BACKINGS if backing.kind == kind)
            self._report(f"using your {kind} ({variable})")
        started = time.monotonic()
        waiting = list(self._servers.values())
        if waiting:
            self._report(f"starting {', '.join(server.name for server in waiting)}")
        for server in waiting:
            server.launch()
        while waiting:
            for server in [server for server in waiting if server.is_ready()]:
                waiting.remove(server)
                self._report(f"{server.name} is ready after {time.monotonic() - started:.1f} s")
                for process in server.processes:
                    self._supervisor.watch(process)
            if stop.wait(_POLL_SECONDS if waiting else 0):
                return False
        return True

    def _migrate(self, stop: StopSignals) -> bool:
        """Bring the databases up to date, as a deployment does before its services start."""
        migrate = ManagedProcess(
            "migrate",
            [sys.executable, "-m", "admin", "migrate", "--wait", str(_MIGRATE_WAIT_SECONDS)],
            log_path=LOG_DIR / "migrate.log",
            env=self.env,
            cwd=ROOT,
            stop_seconds=_SERVICE_STOP_SECONDS,
        )
        migrate.start()
        try:
            while migrate.running:
                if stop.wait(_POLL_SECONDS):
                    return False
        finally:
            migrate.stop()
        if migrate.exit_code:
            error = SettingsError if migrate.exit_code == _CONFIG_EXIT_CODE else ServerFailedError
            raise error(
                f"the databases cannot be brought up to date (PARLEY_MONGO_URL):\n{migrate.log_tail()}"
            )
        return True

    def _start_services(self, stop: StopSignals) -> bool:
        self._report(f"starting {', '.join(self._services)}")
        started = time.monotonic()
        for process in self._services.values():
            process.start()
            self._supervisor.watch(process)
        waiting = {service.name: service for service in SERVICES}
        remind_at = started + _REMIND_SECONDS
        while waiting:
            if stop.wait(_POLL_SECONDS):
                return False
            self._refuse_bad_settings()
            self._supervisor.tick()
            problems = {name: self._problem(name) for name in waiting}
            for name in [name for name, problem in problems.items() if problem is None]:
                del waiting[name], problems[name]
                self._report(f"{name} is ready after {time.monotonic() - started:.1f} s")
            now = time.monotonic()
            if now > started + _READY_SECONDS:
                raise ServerFailedError(self._not_ready(problems))
            if now > remind_at:
                remind_at = now + _REMIND_SECONDS
                for name, problem in problems.items():
                    self._report(f"waiting for {name}: {problem}")
        return True

    def _problem(self, name: str) -> str | None:
        service = next(service for service in SERVICES if service.name == name)
        if not self._services[name].running:
            return "its process does not run"
        return not_ready_because(self._settings.reachable_host, self._settings.port(service.admin_port))

    def _refuse_bad_settings(self) -> None:
        """End the run when services exit with EX_CONFIG: starting them again cannot help."""
        refusing = [p for p in self._services.values() if p.exit_code == _CONFIG_EXIT_CODE]
        if refusing:
            raise SettingsError(
                "\n".join(f"{p.name} refuses its settings:\n{p.log_tail()}" for p in refusing)
            )

    def _not_ready(self, problems: Mapping[str, str | None]) -> str:
        parts = [f"not ready after {_READY_SECONDS:.0f} s:"]
        for name, problem in problems.items():
            process = self._services[name]
            parts.append(f"  {name}: {problem}; the end of {process.log_path}:\n{process.log_tail()}")
        return "\n".join(parts)


def _rotate_logs() -> None:
    """Start each run with empty logs and keep those of the run before."""
    for log in LOG_DIR.glob("*.log"):
        if log.name != "install.log":
            log.replace(log.with_suffix(".log.1"))
