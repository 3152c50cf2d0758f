"""libfaketime (Debian's package): a process that is started with it has a wall clock of its own."""

from __future__ import annotations

from pathlib import Path


def find_faketime() -> Path | None:
    """The library for programs with threads, None if it is not installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
