"""A private RabbitMQ node (Debian's rabbitmq-server) with its own Erlang port mapper."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import aio_pika
import aio_pika.exceptions

from devstack.errors import ServerFailedError, ServerMissingError
from devstack.ports import free_port, listens
from devstack.process import ManagedProcess
from devstack.servers.base import BackingServer

if TYPE_CHECKING:
    from pathlib import Path

_PROBE_SECONDS = 5.0
_EPMD_SECONDS = 10.0
#: The program itself; the wrapper of the same name in /usr/sbin changes to the user `rabbitmq`.
_DEBIAN_PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.file = false
log.console = true
log.console.level = info
# A laptop's disk may be nearly full; a development broker still works.
disk_free_limit.absolute = 50MB
# The write-ahead log of quorum queues is kept in memory up to this size (default 512 MB).
raft.wal_max_size_bytes = 67108864
"""


def find_rabbitmq() -> str | None:
    """The server program, None if it or Erlang's epmd is missing."""
    return shutil.which(_DEBIAN_PROGRAM) if shutil.which("epmd") else None


class RabbitMQServer(BackingServer):
    """One node, user guest, vhost `/`. Ends in about 6 s, accepts logins 4 to 6 s after its start.

    A quorum queue killed within about 3 s of its declaration may come back broken: a crash test declares its
    queues early.
    """

    name: ClassVar[str] = "rabbitmq"

    @property
    def url(self) -> str:
        """`amqp://guest:guest@127.0.0.1:<port>/`, the default vhost."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def _describe(self) -> tuple[ManagedProcess, ...]:
        program, epmd = find_rabbitmq(), shutil.which("epmd")
        if program is None or epmd is None:
            raise ServerMissingError("rabbitmq-server is not installed; run: make setup")
        self._epmd_port = free_port()
        env = self._environment()
        # epmd runs here, in the foreground, because one that RabbitMQ starts is a daemon that outlives it.
        return (
            ManagedProcess("epmd", [epmd], log_path=self.log_dir / "epmd.log", env=env),
            ManagedProcess(
                self.name,
                [program],
                log_path=self.log_dir / "rabbitmq.log",
                env=env,
                cwd=self.data_dir,
                stop_seconds=30.0,
            ),
        )

    def _environment(self) -> dict[str, str]:
        """Settings that keep this node apart from every other, and from /etc/rabbitmq."""
        etc = self.data_dir / "etc"
        etc.mkdir(exist_ok=True)
        config = self._write(etc / "rabbitmq.conf", _CONFIG.format(port=self.port))
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": str(self.data_dir),  # the Erlang cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._write(etc / "advanced.config", "[].\n"),
            "RABBITMQ_CONFIG_FILE": config,
            "RABBITMQ_CONF_ENV_FILE": self._write(etc / "rabbitmq-env.conf", ""),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._write(etc / "enabled_plugins", "[].\n"),
            "RABBITMQ_LOG_BASE": str(self.data_dir / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.data_dir / "mnesia"),
            "RABBITMQ_NODENAME": "parley@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(self.data_dir / "rabbitmq.pid"),
            # Schedulers that spin while idle would take a laptop's cores from the services.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            # The script becomes the Erlang VM instead of a shell that waits for it: signals reach the VM.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    @staticmethod
    def _write(path: Path, text: str) -> str:
        path.write_text(text, encoding="utf-8")
        return str(path)

    def _launch(self) -> None:
        epmd, node = self._processes
        epmd.start()
        deadline = time.monotonic() + _EPMD_SECONDS
        while not listens(self._epmd_port):
            if not epmd.running or time.monotonic() > deadline:
                raise ServerFailedError(f"epmd did not start, log {epmd.log_path}:\n{epmd.log_tail()}")
            time.sleep(0.01)
        node.start()

    def _answers(self) -> bool:
        if not listens(self.port):
            return False
        with ThreadPoolExecutor(1) as thread:  # the caller's thread may have an event loop of its own
            return thread.submit(asyncio.run, self._login()).result()

    async def _login(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                connection = await aio_pika.connect(self.url)
                await connection.close()
        except (OSError, TimeoutError, aio_pika.exceptions.AMQPError):
            return False
        return True
