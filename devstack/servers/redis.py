"""A private Redis (Debian's redis-server, or a Valkey that is in the PATH)."""

from __future__ import annotations

import socket
from typing import ClassVar

from devstack.errors import ServerMissingError
from devstack.process import ManagedProcess
from devstack.programs import find_redis
from devstack.servers.base import BackingServer

_PROBE_SECONDS = 1.0


class RedisServer(BackingServer):
    """Redis with an append-only file: what it acknowledged survives a kill of its process."""

    name: ClassVar[str] = "redis"

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:<port>/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _describe(self) -> tuple[ManagedProcess, ...]:
        program = find_redis()
        if program is None:
            raise ServerMissingError("redis-server is not installed; run: make setup")
        argv = [program, *(word for option in self._options().items() for word in option)]
        return (ManagedProcess(self.name, argv, log_path=self.log_dir / "redis.log", cwd=self.data_dir),)

    def _options(self) -> dict[str, str]:
        return {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--dir": str(self.data_dir),
            "--appendonly": "yes",
            "--save": "",
            "--daemonize": "no",
        }

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=_PROBE_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")  # while it loads its file: -LOADING
