"""A service of nothing but a lifecycle, run as a process by test_lifecycle.py; tells its phases."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from mesh.admin import open_admin
from mesh.lifecycle import Lifecycle, run_service
from mesh.readiness import Readiness
from mesh.settings import MeshSettings, Port, load


class Settings(MeshSettings):
    test_admin_port: Port = 0


def tell(phase: str) -> None:
    sys.stdout.write(phase + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def resource(name: str) -> AsyncIterator[None]:
    tell(f"open {name}")
    yield
    tell(f"close {name}")


async def worker() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        tell("worker cancelled")


class Flaky:
    def __init__(self) -> None:
        self._runs = 0

    async def run(self) -> None:
        self._runs += 1
        tell(f"flaky run {self._runs}")
        if self._runs < 3:
            raise RuntimeError("not yet")


async def drain(name: str) -> None:
    tell(f"drain {name}")


async def fail() -> None:
    raise RuntimeError("this phase fails")


async def serve(mode: str, settings: Settings, life: Lifecycle) -> Mapping[str, int]:
    await life.enter(resource("one"))
    readiness = Readiness()
    port = settings.test_admin_port
    admin = await life.enter(open_admin(settings.bind_host, port, readiness, field="test_admin_port"))
    if mode == "fail":
        raise RuntimeError("cannot start")
    life.supervise("worker", worker)
    life.supervise("flaky", Flaky().run)
    await life.enter(resource("two"))
    life.on_drain("first registered", partial(drain, "first registered"))
    life.on_drain("failing", fail)
    life.on_drain("last registered", partial(drain, "last registered"))
    if mode == "hang":
        life.on_drain("hanging", asyncio.Event().wait)  # type: ignore[arg-type]
    return {"admin": admin}


if __name__ == "__main__":
    chosen = load(Settings)
    run_service("lifecycle", chosen, partial(serve, sys.argv[1], chosen))
