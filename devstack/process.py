"""One child process with a log file, ended for certain."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from devstack.reaper import Reaper, kill_session, session_members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: One per launcher: it ends every child of this process that is left when this process dies.
reaper = Reaper()
atexit.register(reaper.close)

_TAIL_BYTES = 64 * 1024


class ManagedProcess:
    """A program that can be started again, in a session of its own.

    Its output is appended to `log_path`. `stop_seconds` is the time between SIGTERM and SIGKILL. Everything
    it started dies with it. Not thread-safe: one owner.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log_path = log_path
        self.stop_seconds = stop_seconds
        self._env = env
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._watched = False
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Process id of the last start, None before the first."""
        return self._popen.pid if self._popen else None

    @property
    def env(self) -> Mapping[str, str]:
        """Its environment, as each start gives it."""
        return os.environ if self._env is None else self._env

    @property
    def running(self) -> bool:
        """True from start() until the process has ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last life, negative for a signal; None while it runs or before the first start."""
        return self._popen.poll() if self._popen else None

    def start(self, more_env: Mapping[str, str] | None = None) -> None:
        """Start the program and return at once. `more_env`: variables of this life alone.

        Raises:
            RuntimeError: it runs already.
            OSError: the program cannot be executed.
        """
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self.clear()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.env, **(more_env or {})},
                cwd=self._cwd,
                start_new_session=True,
            )
        reaper.watch(self._popen.pid)
        self._watched = True

    def stop(self) -> None:
        """SIGTERM, wait up to `stop_seconds`, SIGKILL. Returns when nothing of it is left."""
        self.terminate()
        self.wait(self.stop_seconds)
        self.clear()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM) and return at once."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL it and all it started. Returns when nothing of it is left."""
        self.send_signal(signal.SIGKILL)
        self.clear()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(number)

    def send_kill(self) -> None:
        """SIGKILL to the process itself, and return at once; safe in a signal handler."""
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False when it still runs after that time."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def clear(self) -> None:
        """SIGKILL what the last life left behind, the process itself included."""
        if self._popen is None or not self._watched:
            return
        kill_session(self._popen.pid)
        self._popen.wait()
        reaper.forget(self._popen.pid)
        self._watched = False

    def members(self) -> list[int]:
        """Ids of all live processes that belong to it: its own and those it started."""
        return session_members(self._popen.pid) if self._popen else []

    def log_tail(self, lines: int = 15) -> str:
        """The last lines it wrote in this life."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _TAIL_BYTES))
                text = log.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def describe_exit(code: int | None) -> str:
    """An exit code in words: `exit code 78`, `signal SIGKILL`."""
    if code is None:
        return "still running"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def stop_all(processes: Sequence[ManagedProcess]) -> None:
    """Stop these at the same time, each within its own `stop_seconds`; returns when all have ended."""
    started = time.monotonic()
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(max(0.0, started + process.stop_seconds - time.monotonic()))
        process.clear()
