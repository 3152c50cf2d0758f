"""A MongoDB stand-in that fails when it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo import MongoClient

from devstack.servers import MongoServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devstack.process import ManagedProcess


class ObedientMongo(MongoServer):
    """Answers commands as it is told; a test gives back what it took by `obey`."""

    def _describe(self) -> tuple[ManagedProcess, ...]:
        (usual,) = super()._describe()
        usual.argv = (*usual.argv, "--enable-test-commands")
        return (usual,)

    def fail(self, commands: Sequence[str], mode: str | dict[str, int], **how: Any) -> None:
        """Fails these commands: `mode` is `alwaysOn`, or how many `times`."""
        self._fail_point(mode, data={"failCommands": list(commands), **how})

    def obey(self) -> None:
        """Fails no more."""
        self._fail_point("off")

    def _fail_point(self, mode: str | dict[str, int], **more: Any) -> None:
        with MongoClient[dict[str, Any]](self.url, directConnection=True) as client:
            client.admin.command("configureFailPoint", "failCommand", mode=mode, **more)
