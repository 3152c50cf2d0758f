"""A service with a wall clock that is off, while its monotonic clock is right: libfaketime, for one life."""

import contextlib
from pathlib import Path
from typing import Final

from chaos.mesh import MeshError
from devstack.process import ManagedProcess
from devstack.programs import find_faketime

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where libfaketime has its files


def require() -> None:
    """Raises `MeshError` unless clocks can be set wrong here."""
    _library()


def start(process: ManagedProcess, seconds: float) -> None:
    """Starts a process that has ended, with a clock that is `seconds` ahead, or behind if negative."""
    # Timers and deadlines stand on the monotonic clock, which nobody sets: a real skew leaves it alone.
    process.start(
        {"LD_PRELOAD": _library(), "FAKETIME": f"{seconds:+.0f}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    )


def end(process: ManagedProcess) -> None:
    """Kills it, and removes what libfaketime leaves of a process that is killed."""
    process.kill()
    for name in (f"faketime_shm_{process.pid}", f"sem.faketime_sem_{process.pid}"):
        with contextlib.suppress(FileNotFoundError):
            (_SHARED_MEMORY / name).unlink()


def _library() -> str:
    library = find_faketime()
    if library is None:
        raise MeshError("libfaketime is not installed, so no clock can be set wrong; run: make setup")
    return str(library)
