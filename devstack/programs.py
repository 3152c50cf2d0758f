"""Finds the programs that are not Python packages of ours. None where one is not installed.

Of the standard library alone: `devstack.packages` asks before there is an environment.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from devstack.paths import MONGO_VENV

#: The program itself; the wrapper of the same name in /usr/sbin changes to the user `rabbitmq`.
_DEBIAN_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def find_redis() -> str | None:
    """Debian's redis-server, or a Valkey that is in the PATH."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def find_rabbitmq() -> str | None:
    """Debian's rabbitmq-server, if Erlang's epmd is there too."""
    return shutil.which(_DEBIAN_RABBITMQ) if shutil.which("epmd") else None


def find_mongo() -> str | None:
    """The MongoDB stand-in, in its own environment or in the PATH."""
    return shutil.which("secantusd-py", path=MONGO_VENV / "bin") or shutil.which("secantusd-py")


def find_faketime() -> Path | None:
    """The library libfaketime for programs with threads: started with it one has a wall clock of its own."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def find_promtool() -> Path | None:
    """What checks Prometheus' rules, of Debian's package `prometheus`."""
    found = shutil.which("promtool")
    return Path(found) if found else None


def find_nginx() -> str | None:
    """Debian's Nginx, which is in no user's PATH, or another one."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def find_chromium() -> str | None:
    """Debian's Chromium, in which tests run web pages."""
    return shutil.which("chromium")
