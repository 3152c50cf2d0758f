"""A private RabbitMQ node (Debian's rabbitmq-server) with its own Erlang port mapper."""

from __future__ import annotations

import asyncio
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import aio_pika
import aio_pika.exceptions

from devstack.errors import ServerFailedError, ServerMissingError
from devstack.ports import free_port, listens
from devstack.process import ManagedProcess
from devstack.programs import find_rabbitmq
from devstack.servers.base import BackingServer
from devstack.servers.epmd import PortMapper

if TYPE_CHECKING:
    from pathlib import Path

_PROBE_SECONDS = 5.0
_ASK_SECONDS = 10

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


class RabbitMQServer(BackingServer):
    """One node, user guest, vhost `/`. Ends in about 6 s, accepts logins 4 to 6 s after its start.

    A quorum queue killed within about 3 s of its declaration may come back broken: a crash test declares its
    queues early.
    """

    name: ClassVar[str] = "rabbitmq"
    node_name = "parley@localhost"

    @property
    def url(self) -> str:
        """`amqp://guest:guest@127.0.0.1:<port>/`, the default vhost."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def ask(self, expression: str) -> str:
        """The value of an Erlang expression that the node evaluates, as Erlang writes it.

        Raises:
            ServerFailedError: the node cannot be reached, or the expression failed.
        """
        command = ["erl_call", "-name", self.node_name, "-e", "-timeout", str(_ASK_SECONDS)]
        done = subprocess.run(
            command,
            input=f"{expression}.\n",
            env=self._processes[-1].env,
            capture_output=True,
            text=True,
            check=False,
        )
        # It answers "{ok, <value>}" or "{error, <reason>}", without an end of line.
        if done.returncode or not done.stdout.startswith("{ok, "):
            raise ServerFailedError(f"{self.node_name}: {done.stdout}{done.stderr}")
        return done.stdout.strip().removeprefix("{ok, ").removesuffix("}")

    def _describe(self) -> tuple[ManagedProcess, ...]:
        self._port_mapper = PortMapper(self.log_dir)
        return (self._port_mapper.process, self._node(self._port_mapper))

    def _node(self, port_mapper: PortMapper) -> ManagedProcess:
        program = find_rabbitmq()
        if program is None:
            raise ServerMissingError("rabbitmq-server is not installed; run: make setup")
        return ManagedProcess(
            self.name,
            [program],
            log_path=self.log_dir / "rabbitmq.log",
            env=self._environment() | port_mapper.variables,
            cwd=self.data_dir,
            stop_seconds=30.0,
        )

    def _config(self) -> str:
        """The text of rabbitmq.conf."""
        return _CONFIG.format(port=self.port)

    def _environment(self) -> dict[str, str]:
        """Settings that keep this node apart from every other, and from /etc/rabbitmq."""
        etc = self.data_dir / "etc"
        etc.mkdir(exist_ok=True)
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": str(self.data_dir),  # the Erlang cookie
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._write(etc / "advanced.config", "[].\n"),
            "RABBITMQ_CONFIG_FILE": self._write(etc / "rabbitmq.conf", self._config()),
            "RABBITMQ_CONF_ENV_FILE": self._write(etc / "rabbitmq-env.conf", ""),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._write(etc / "enabled_plugins", "[].\n"),
            "RABBITMQ_LOG_BASE": str(self.data_dir / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.data_dir / "mnesia"),
            "RABBITMQ_NODENAME": self.node_name,
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
        self._port_mapper.start()
        self._processes[-1].start()

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
