"""A private server that speaks the MongoDB wire protocol (secantusd, see requirements.txt)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

import pymongo
import pymongo.errors

from devstack.errors import ServerMissingError
from devstack.ports import listens
from devstack.process import ManagedProcess
from devstack.programs import find_mongo
from devstack.servers.base import BackingServer

if TYPE_CHECKING:
    from typing import Any

_PROBE_MILLISECONDS = 1000
#: Retryable writes are remembered in a registry that is sorted at each write once it holds 10,000, and each
#: connection is a thread that competes for the interpreter. Measured by bench/bench_embedded_store.py.
_OPTIONS = "retryWrites=false&maxPoolSize=2"


class MongoServer(BackingServer):
    """The MongoDB stand-in, writing each commit to disk before it answers."""

    name: ClassVar[str] = "mongo"

    @property
    def url(self) -> str:
        """`mongodb://127.0.0.1:<port>/?...`, without a database, with the options that this store needs."""
        return f"mongodb://127.0.0.1:{self.port}/?{_OPTIONS}"

    def _describe(self) -> tuple[ManagedProcess, ...]:
        program = find_mongo()
        if program is None:
            raise ServerMissingError("secantusdb, the MongoDB stand-in, is not installed; run: make setup")
        storage = self.data_dir / "db"
        storage.mkdir(exist_ok=True)
        argv = [program, "--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(storage)]
        # Without it, acknowledged writes (w:majority too) are lost when the process is killed.
        argv.append("--sync-on-commit")
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return (
            ManagedProcess(self.name, argv, log_path=self.log_dir / "mongo.log", cwd=self.data_dir, env=env),
        )

    def _answers(self) -> bool:
        if not listens(self.port):  # the driver would wait for it
            return False
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            self.url,
            directConnection=True,
            serverSelectionTimeoutMS=_PROBE_MILLISECONDS,
            connectTimeoutMS=_PROBE_MILLISECONDS,
            socketTimeoutMS=_PROBE_MILLISECONDS,
        )
        with client:
            try:
                client.admin.command("ping")
            except pymongo.errors.ConnectionFailure:
                return False
            return True
