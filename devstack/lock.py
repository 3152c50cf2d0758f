"""One `make run` at a time, and how `make stop` finds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.keys import private_folder
from devstack.paths import RUN_DIR
from devstack.process import reaper

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_PATH = RUN_DIR / "run.lock"


@contextlib.contextmanager
def run_lock(path: Path = LOCK_PATH) -> Iterator[None]:
    """Hold the lock of a run. Should this process be killed, it is held until its children have ended too.

    Raises:
        DevstackError: another run holds it.
    """
    private_folder(path.parent)
    with path.open("a+", encoding="ascii") as file:
        if not _try_lock(file.fileno()):
            pid = running_pid(path)
            if pid is None:
                raise DevstackError("a killed run is still being ended; `make stop` waits for it")
            raise DevstackError(f"it runs already (process {pid}); to end it: make stop")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        reaper.hold(file.fileno())
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def is_locked(path: Path = LOCK_PATH) -> bool:
    """Whether a run, or what a killed run left behind, is alive."""
    try:
        with path.open("r+", encoding="ascii") as file:
            return not _try_lock(file.fileno())
    except FileNotFoundError:
        return False


def running_pid(path: Path = LOCK_PATH) -> int | None:
    """The process that holds the lock; None if none does, or if that id belongs to somebody else by now."""
    pid = _read_pid(path)
    if pid is None or not is_locked(path):
        return None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return pid if any(b"devstack" in word for word in words) else None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None
