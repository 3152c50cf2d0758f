"""One mesh for the folder, with a proxy on every link; each test brings a crowd of its own to it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.links import Links
from chaos.mesh import Mesh
from chaos.report import complaint, table
from chaos.run import Outcome, Stage
from chaos.schedule import FIRST_AT, Fault, Kind

_LOAD_BEFORE = 1.0
_LOAD_AFTER = 3.0

_tags = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Setting:
    mesh: Mesh
    links: Links
    folder: Path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def setting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    folder, links = tmp_path_factory.mktemp("faults"), Links()
    with ExitStack() as stack:
        mesh = await asyncio.to_thread(Mesh.start, folder, stack, route=links.via)
        async with links:
            await mesh.ready()
            yield Setting(mesh, links, folder)


Endure = Callable[..., Awaitable[Outcome]]


@pytest_asyncio.fixture(loop_scope="session")
async def endure(setting: Setting) -> Endure:
    """Lets a crowd live through one fault; every promise must hold. Prints what was broken and the counts."""
    await setting.mesh.ready()

    async def live(kind: Kind, target: str, seconds: float, amount: float = 0) -> Outcome:
        at = FIRST_AT if target == "rabbitmq" else _LOAD_BEFORE
        fault = Fault(1, at, kind, target, seconds, amount)
        tag = f"t{next(_tags)}-"
        async with Stage(setting.mesh, setting.links, setting.folder, seed=1, tell=print, tag=tag) as stage:
            outcome = await stage.live_through([fault], at + seconds + _LOAD_AFTER)
        print(table(outcome.figures, outcome.recoveries))  # noqa: T201 - the test says what it counted
        assert not outcome.violations, complaint(outcome.violations, seed=1, seconds=seconds)
        return outcome

    return live
