"""TCP ports: free ones for the tests, and a clear message about busy ones."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

from devstack.errors import PortBusyError
from devstack.paths import PORTS_VARIABLE

# Below Linux' range for outgoing connections (32768 and up): a server that is restarted on its port must not
# find some client's connection there.
_RANGE = (20_000, 32_000)
_ATTEMPTS = 200

_random = random.SystemRandom()
_given: set[int] = set()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on that port now.

    Raises:
        OSError: the address cannot be used at all (not of this machine, not permitted).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections on that port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at this moment, given to nobody else as long as this process lives.

    So a server that is stopped finds its port free when it is started again, whatever runs beside it.
    """
    for _ in range(_ATTEMPTS):
        port = _random.randrange(*_RANGE)
        if port not in _given and _reserve(port) and is_free(port, host):
            _given.add(port)
            return port
    raise PortBusyError(f"no free port found between {_RANGE[0]} and {_RANGE[1]}")


def _reserve(port: int) -> bool:
    """Takes the port among all processes of this user by a record lock (fcntl(2)), which ends with ours."""
    reservations = _reservations()
    try:
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # by POSIX either may mean that somebody holds it
        return False
    return True


@functools.cache
def _reservations() -> int:
    # Opened once, and never closed: closing any descriptor of the file would end all locks of this process.
    path = Path(tempfile.gettempdir(), f"parley-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def require_free(port: int, *, what: str, variable: str | None = None, host: str = "127.0.0.1") -> None:
    """Check a port before something is started on it.

    Raises:
        PortBusyError: it is taken; the message names `what` needs it and the `variable` that changes it.
    """
    try:
        free = is_free(port, host)
    except OSError as error:
        raise PortBusyError(f"{what} cannot listen on {host}:{port}: {error.strerror}") from error
    if not free:
        remedy = "free it"
        if variable:
            remedy += f", set {variable} to another port, or move all ports: {PORTS_VARIABLE}=+10000"
        raise PortBusyError(f"port {port}, needed for {what}, is in use: {remedy}")
