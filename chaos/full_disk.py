"""A backing server whose disk takes nothing more, as an ordinary user can bring it about, and room again.

- Redis: `RLIMIT_FSIZE` of the live process is 1 byte, so each write to its AOF fails. It answers writes with
  `MISCONF`, still serves reads and subscriptions, tries again every second and goes on by itself.
- MongoDB (the stand-in): the same. Its storage engine panics and every call fails from then on, where mongod
  ends itself; either has to be started again.
- RabbitMQ: `set_disk_free_limit` above what any disk has. Its disk alarm stops reading from connections that
  publish, so confirms stop; it goes on by itself. It is not limited like the others since that is what its
  alarm prevents: in Debian's version a quorum queue whose write-ahead log failed does not come back.
"""

import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devstack.errors import ServerFailedError
from devstack.servers import BackingServer, RabbitMQServer, RedisServer

_CTL: Final = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
_CTL_SECONDS: Final = 30.0
_MORE_THAN_ANY_DISK: Final = "999999GB"  # the unit that all versions know
_ENOUGH: Final = "50MB"  # as devstack/servers/rabbitmq.py configures it


@contextmanager
def surviving() -> Iterator[None]:
    """What is started in here gets an error from a write beyond its limit, as from a full disk.

    Without it the kernel ends the process by SIGXFSZ. A blocked signal stays blocked in what a thread starts.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXFSZ})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fill(server: BackingServer) -> None:
    """From now on the server can write nothing. It must have been started `surviving`."""
    if isinstance(server, RabbitMQServer):
        _set_disk_free_limit(server, _MORE_THAN_ANY_DISK)
    else:
        _limit(server, 1)


def make_room(server: BackingServer) -> None:
    """It can write again; starts it again if it does not get over it by itself."""
    if isinstance(server, RabbitMQServer):
        _set_disk_free_limit(server, _ENOUGH)
        return
    _limit(server, None)
    if not isinstance(server, RedisServer):
        server.kill()
        with surviving():
            server.start()


def _limit(server: BackingServer, size: int | None) -> None:
    """Sets the soft limit alone, so that it can be lifted again without being root."""
    if server.pid is None or not server.running:
        raise ValueError(f"{server.name} does not run")
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def _set_disk_free_limit(server: RabbitMQServer, limit: str) -> None:
    node = server.processes[-1]
    ctl = [str(_CTL), "set_disk_free_limit", limit]
    done = subprocess.run(
        ctl, env=node.env, check=False, capture_output=True, text=True, timeout=_CTL_SECONDS
    )
    if done.returncode:
        raise ServerFailedError(f"rabbitmqctl set_disk_free_limit {limit}: {done.stderr.strip()}")
