"""One mesh for the folder, with a proxy on every link; each test brings a crowd of its own to it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.links import Links
from chaos.mesh import Mesh
from chaos.records import Acked, FaultEnded, Record, Sent
from chaos.report import complaint, table
from chaos.run import Outcome, Stage
from chaos.schedule import FIRST_AT, Fault, Kind
from tests.support.polling import eventually

_LOAD_BEFORE = 1.0
_LOAD_AFTER = 2.0
_ACK_SECONDS = 30.0
"""For the first ack of a message that was sent after something happened."""

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


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of one fault that was in place from `since` on."""

    outcome: Outcome
    since: float

    @property
    def acked_meanwhile(self) -> int:
        """How many sends were made while it lasted and acked before it was over."""
        (ended,) = self.outcome.evidence.of(FaultEnded)
        return sum(
            ack.at < ended.at for ack in acks_of_sends_since(self.since, self.outcome.evidence.records)
        )


def acks_of_sends_since(moment: float, records: Iterable[Record]) -> Iterator[Acked]:
    """The acks that answer an attempt which was made after a moment."""
    made: dict[tuple[str, str], float] = {}
    for record in records:
        if isinstance(record, Sent):
            made[record.chat_id, record.key] = record.at
        elif isinstance(record, Acked) and made.get((record.chat_id, record.key), 0) > moment:
            yield record


Endure = Callable[..., Awaitable[Lived]]


@pytest_asyncio.fixture(loop_scope="session")
async def endure(setting: Setting) -> Endure:
    """Lets a crowd live through one fault; every promise must hold. Prints what was broken and the counts."""
    await setting.mesh.ready()

    async def live(
        kind: Kind, target: str, seconds: float, amount: float = 0, *, sends_go_on: bool = False
    ) -> Lived:
        """The fault lasts for `seconds`; where `sends_go_on`, also until one was acked meanwhile."""
        fault = Fault(1, FIRST_AT if target == "rabbitmq" else _LOAD_BEFORE, kind, target, seconds, amount)
        tag = f"t{next(_tags)}-"
        async with Stage(setting.mesh, setting.links, setting.folder, seed=1, tell=print, tag=tag) as stage:
            since = 0.0

            async def acked() -> None:
                records, now = stage.journal.records, stage.journal.now
                await eventually(
                    lambda: any(acks_of_sends_since(now, records)), "a send is acked", seconds=_ACK_SECONDS
                )

            async def trouble() -> None:
                nonlocal since
                await asyncio.sleep(fault.at)
                async with stage.injector.happening(fault):
                    since = stage.journal.now
                    await asyncio.sleep(seconds)
                    if sends_go_on:
                        await acked()
                await acked()
                await asyncio.sleep(_LOAD_AFTER)

            outcome = await stage.live_through(trouble())
        print(table(outcome.figures, outcome.recoveries))  # noqa: T201 - the test says what it counted
        assert not outcome.violations, complaint(outcome.violations, seed=1, seconds=seconds)
        return Lived(outcome, since)

    return live
