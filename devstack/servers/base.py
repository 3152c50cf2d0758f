"""What all backing servers have in common."""

from __future__ import annotations

import signal
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from devstack.errors import ServerFailedError
from devstack.ports import free_port, require_free
from devstack.process import ManagedProcess, describe_exit

if TYPE_CHECKING:
    from types import TracebackType

_POLL_SECONDS = 0.02


class Server(Protocol):
    """A private server on 127.0.0.1 whose port and data stay the same from one start to the next."""

    @property
    def name(self) -> str:
        """What it is: `redis`, `rabbitmq`, `mongo`."""

    @property
    def url(self) -> str:
        """The address that clients use, whether it runs or not."""

    @property
    def pid(self) -> int | None:
        """Process id of the server's last start, None before the first."""

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""

    def start(self) -> str:
        """Start it, wait until it answers clients, and return `url`.

        Raises:
            PortBusyError: its port is taken.
            ServerMissingError: the program is not installed.
            ServerFailedError: it ended, or did not answer in time; the message holds its last log lines.
        """

    def stop(self) -> None:
        """End it in order, by force after a deadline; the data stay. Harmless if it does not run."""

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; the data stay."""

    def restart(self) -> str:
        """`stop()` if it runs, then `start()` on the same port and data."""


class BackingServer(ABC):
    """Implements `Server` around the processes that a subclass describes.

    Without `port` a free one is taken; without `data_dir` a temporary directory, which `close()` (or the end
    of a `with` block) removes. `port_variable` is the setting that a message about a busy port names.
    """

    name: ClassVar[str]
    #: How long a start may take. Generous: a loaded build machine is not a failure.
    start_seconds: ClassVar[float] = 60.0

    def __init__(
        self,
        *,
        port: int | None = None,
        data_dir: Path | None = None,
        log_dir: Path | None = None,
        port_variable: str | None = None,
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if data_dir is None:
            self._temporary = tempfile.TemporaryDirectory(
                prefix=f"parley-{self.name}-", ignore_cleanup_errors=True
            )
            data_dir = Path(self._temporary.name)
        self.data_dir = data_dir
        self.log_dir = log_dir or data_dir / "log"
        self.port = port or free_port()
        self._port_variable = port_variable
        self._processes: tuple[ManagedProcess, ...] = ()
        self._deadline = 0.0

    @property
    @abstractmethod
    def url(self) -> str:
        """The address that clients use."""

    @abstractmethod
    def _describe(self) -> tuple[ManagedProcess, ...]:
        """Prepare the data directory and describe the processes, the server itself last.

        Raises:
            ServerMissingError: the program is not installed.
        """

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client gets an answer now. Must return, or raise OSError, within a second or two."""

    @property
    def processes(self) -> tuple[ManagedProcess, ...]:
        """All processes of this server, in the order of their start; empty before the first start."""
        return self._processes

    @property
    def pid(self) -> int | None:
        """Process id of the server's last start, None before the first."""
        return self._processes[-1].pid if self._processes else None

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return bool(self._processes) and self._processes[-1].running

    def start(self) -> str:
        """Start the server and wait until it answers; see `Server.start`."""
        self.launch()
        try:
            while not self.is_ready():
                time.sleep(_POLL_SECONDS)
        except BaseException:  # whatever ends the wait, Ctrl-C included: nothing may stay half started
            self.kill()
            raise
        return self.url

    def launch(self) -> None:
        """Start the processes without waiting for the server; `is_ready()` tells the rest.

        Raises:
            PortBusyError, ServerMissingError: as `Server.start`.
        """
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        require_free(self.port, what=self.name, variable=self._port_variable)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        if not self._processes:
            self._processes = self._describe()
        self._deadline = time.monotonic() + self.start_seconds
        try:
            self._launch()
        except BaseException:
            self.kill()
            raise

    def is_ready(self) -> bool:
        """Whether a launched server answers clients by now. Blocks for a second or two at most.

        Raises:
            ServerFailedError: it ended, or its time is up; the message holds its last log lines.
        """
        main = self._processes[-1]
        if not main.running:
            raise ServerFailedError(
                f"{self.name} ended while starting ({describe_exit(main.exit_code)}), "
                f"log {main.log_path}:\n{main.log_tail()}"
            )
        try:
            if self._answers():
                return True
        except OSError:
            pass  # not listening yet
        if time.monotonic() > self._deadline:
            raise ServerFailedError(
                f"{self.name} did not answer within {self.start_seconds:.0f} s, "
                f"log {main.log_path}:\n{main.log_tail()}"
            )
        return False

    def stop(self) -> None:
        """End the server in order; see `Server.stop`."""
        for process in reversed(self._processes):
            process.stop()

    def kill(self) -> None:
        """SIGKILL all of it; see `Server.kill`."""
        for process in reversed(self._processes):
            process.kill()

    def restart(self) -> str:
        """Stop and start again; see `Server.restart`."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): connections stay open and get no answer."""
        self._processes[-1].send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        self._processes[-1].send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its data if they were temporary."""
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _launch(self) -> None:
        """Start the processes in order."""
        for process in self._processes:
            process.start()
