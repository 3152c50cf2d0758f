"""Finds promtool, which checks Prometheus rules."""

from __future__ import annotations

import shutil
from pathlib import Path


def find_promtool() -> Path | None:
    """The program of Debian's package `prometheus`, or None."""
    found = shutil.which("promtool")
    return Path(found) if found else None
