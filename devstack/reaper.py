"""Ends the processes that a launcher leaves behind, even when the launcher is killed with SIGKILL.

A launcher (`make run`, a test run) starts this file once as a process of its own and holds the write end of
its standard input. It writes `+<pid>` for each child it starts, a session leader, and `-<pid>` for each that
has ended. The kernel closes that pipe however the launcher ends; this process then sees the end of its input,
ends what is still there, last started first, and exits.

A parent-death signal (prctl) is no alternative: it follows the thread that started the child, and does not
reach grandchildren such as the Erlang VM's helpers.

Run as a script it sees the standard library only: do not import from devstack here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.02


def session_members(session: int) -> list[int]:
    """Live processes of a session (zombies left out), from /proc.

    The session, not the process group: the Erlang VM puts its helpers into groups of their own.
    """
    members = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # ended since the listing
            continue
        # The command, in parentheses, may hold anything; behind it: state, parent, group, session (proc(5)).
        state, _parent, _group, its_session, *_ = stat.rpartition(")")[2].split()
        if int(its_session) == session and state != "Z":
            members.append(int(entry.name))
    return members


def kill_session(session: int) -> None:
    """SIGKILL every process of a session, again until none is left."""
    while members := session_members(session):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def end_session(session: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """SIGTERM to the leader of a session, and SIGKILL to what is left of it after the grace time."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(session, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while session in session_members(session) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    kill_session(session)


class Reaper:
    """The launcher's side. Thread-safe; the process is started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._keep_open: tuple[int, ...] = ()

    @property
    def pid(self) -> int | None:
        """Process id of the reaper, None before the first child."""
        return self._process.pid if self._process else None

    def hold(self, descriptor: int) -> None:
        """Let the reaper inherit an open file: a lock on it then lasts until all is cleared."""
        self._keep_open = (*self._keep_open, descriptor)

    def watch(self, session: int) -> None:
        """End this session should the launcher die."""
        self._send(f"+{session}\n")

    def forget(self, session: int) -> None:
        """The session has ended; its id may be used again by others."""
        self._send(f"-{session}\n")

    def close(self) -> None:
        """Let it end what is still there, and return when it has."""
        with self._lock:
            if self._process is not None:
                self._process.communicate()

    def _send(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    pass_fds=self._keep_open,
                    start_new_session=True,  # out of reach of the terminal's Ctrl-C
                )
            pipe = self._process.stdin
            if pipe is None:  # pragma: no cover - Popen was asked for it
                raise RuntimeError("the reaper has no input")
            with contextlib.suppress(BrokenPipeError):  # somebody killed it: then only orderly stops remain
                pipe.write(line.encode())


def main() -> None:
    """Follow the launcher's lines until they end, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: list[int] = []
    for line in sys.stdin:
        session = int(line[1:])
        if line.startswith("+"):
            sessions.append(session)
        elif session in sessions:
            sessions.remove(session)
    for session in reversed(sessions):
        end_session(session)


if __name__ == "__main__":
    main()
