"""One run: start the mesh, let the crowd live through a schedule of faults, and judge what is left."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import httpx

from chaos.checker import STORE_CHECKS, Figures, Recovery, check, figures, recoveries
from chaos.client import Door
from chaos.crowd import Crowd
from chaos.evidence import Evidence, Violation
from chaos.faults import Injector
from chaos.links import Links
from chaos.mesh import Mesh
from chaos.records import Journal
from chaos.schedule import Fault
from chaos.stores import read_stores

_READY_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 45.0
"""After the last fault, for the sends that are still repeated."""
_STORE_SECONDS: Final = 60.0
"""For the queues to run empty; outboxes are swept after 10 s, changes that broke off finished after 35 s."""
_LOOK_AGAIN_SECONDS: Final = 1.0
_CATCH_UP_SECONDS: Final = 30.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    evidence: Evidence
    violations: Sequence[Violation]
    figures: Figures
    recoveries: Sequence[Recovery]


class Stage:
    """A mesh with proxies on all links and a connected crowd; enter it.

    Several can follow one another on one mesh, each with a `tag` of its own.
    """

    def __init__(
        self, mesh: Mesh, links: Links, folder: Path, *, seed: int, tell: Tell, tag: str = ""
    ) -> None:
        self.mesh = mesh
        self.journal = Journal(folder / f"{tag}journal-{seed}.jsonl")
        self.injector = Injector(mesh, links, self.journal, tell)
        self.crowd: Crowd
        self._seed = seed
        self._tag = tag
        self._tell = tell
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.journal)
            http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            doors = [Door(edge.process.name, edge.public_port) for edge in self.mesh.edges]
            self.crowd = Crowd(doors, self.journal, http, seed=self._seed, tag=self._tag)
            tasks = [
                asyncio.create_task(life, name=client.name)
                for client in self.crowd.everyone
                for life in (client.run(), client.catch_up_for_ever())
            ]
            stack.push_async_callback(_end, tasks)
            async with asyncio.timeout(_READY_SECONDS):
                for client in self.crowd.everyone:
                    await client.welcomed.wait()
                await self.crowd.make_chats()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def live_through(self, trouble: Awaitable[None]) -> Outcome:
        """The crowd acts until `trouble` is over; then all is brought to rest and judged."""
        stop = asyncio.Event()
        lives = [asyncio.create_task(life, name="script") for life in self.crowd.act(stop)]
        try:
            await trouble
            stop.set()
            self._tell(f"{self.journal.now:7.2f} s  all faults are over, waiting for rest")
            _, busy = await asyncio.wait(lives, timeout=_ANSWER_SECONDS)
            self._tell(f"{self.journal.now:7.2f} s  {len(lives) - len(busy)} of {len(lives)} scripts ended")
        finally:
            await _end(lives)
        return await self._judge()

    async def follow(self, schedule: Sequence[Fault], seconds: float) -> None:
        """Makes the faults of a schedule happen; takes `seconds`, longer if the faults do."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.injector.follow(schedule))
            group.create_task(asyncio.sleep(seconds))

    async def _judge(self) -> Outcome:
        deadline = self.journal.now + _STORE_SECONDS
        told: Counter[str] = Counter()
        while (lacks := check(await self._evidence(), STORE_CHECKS)) and self.journal.now < deadline:
            rules = Counter(violation.rule for violation in lacks)
            if rules != told:
                told = rules
                self._tell(
                    f"{self.journal.now:7.2f} s  waiting for the stores to catch up: {len(lacks)} to go"
                )
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        current = await self.crowd.come_again(_CATCH_UP_SECONDS)
        evidence = await self._evidence()
        violations = check(evidence)
        if not current:
            lacking = [client.name for client in self.crowd.everyone if not client.is_current]
            violations.append(
                Violation("not caught up", f"{', '.join(lacking)} in {_CATCH_UP_SECONDS:.0f} s")
            )
        return Outcome(evidence, violations, figures(evidence, violations), recoveries(evidence))

    async def _evidence(self) -> Evidence:
        crowd = self.crowd
        stores = await asyncio.to_thread(read_stores, self.mesh, [*crowd.users, crowd.absent])
        return Evidence(list(self.journal.records), stores, crowd.views(), absent=(crowd.absent,))


async def run(schedule: Sequence[Fault], seconds: float, seed: int, folder: Path, tell: Tell) -> Outcome:
    """A run from nothing to a verdict; leaves no process behind, but logs and the journal in `folder`."""
    with ExitStack() as stack:
        links = Links(seed)
        mesh = await asyncio.to_thread(Mesh.start, folder, stack, route=links.via)
        async with links:
            await mesh.ready()
            async with Stage(mesh, links, folder, seed=seed, tell=tell) as stage:
                return await stage.live_through(stage.follow(schedule, seconds))


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
