"""Erlang's port mapper, by which RabbitMQ nodes and their tools find each other."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from devstack.errors import ServerFailedError, ServerMissingError
from devstack.ports import free_port, listens
from devstack.process import ManagedProcess

if TYPE_CHECKING:
    from pathlib import Path

_START_SECONDS = 10.0


class PortMapper:
    """A private epmd. In the foreground: one that RabbitMQ starts is a daemon that outlives it.

    Raises:
        ServerMissingError: Erlang is not installed.
    """

    def __init__(self, log_dir: Path) -> None:
        program = shutil.which("epmd")
        if program is None:
            raise ServerMissingError("rabbitmq-server is not installed; run: make setup")
        self._port = free_port()
        #: By which everything of Erlang finds it.
        self.variables = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self._port)}
        env = {**os.environ, **self.variables}
        self.process = ManagedProcess("epmd", [program], log_path=log_dir / "epmd.log", env=env)

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ServerFailedError: it ended, or does not listen within 10 s.
        """
        epmd = self.process
        epmd.start()
        deadline = time.monotonic() + _START_SECONDS
        while not listens(self._port):
            if not epmd.running or time.monotonic() > deadline:
                raise ServerFailedError(f"epmd did not start, log {epmd.log_path}:\n{epmd.log_tail()}")
            time.sleep(0.01)
