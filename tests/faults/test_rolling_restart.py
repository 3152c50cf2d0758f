"""A new version is rolled out under load: every process ends by SIGTERM, one after the other.

The successors of chat_service and persist_service serve beside them before they end, as in Kubernetes.
Clients of an edge move to the other. Counted: sends, retries, acked, stored, delivered; every client's view
must be whole.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.mesh import Mesh, Service
from tests.faults.rolling import beside, check, end, found_by, mesh_of_pairs, some_sends, talking
from tests.faults.talker import Tally

STEADY_SENDS = 400  # before the first process ends, and after the last


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with mesh_of_pairs(tmp_path) as mesh:
        asyncio.run(mesh.ready())
        yield mesh


@pytest.mark.timeout(240)
async def test_rolling_every_process_loses_no_ack_and_no_send(mesh: Mesh) -> None:
    tally = Tally()
    ended: dict[str, float] = {}
    with ExitStack() as stack:

        async def replace(service: Service, area: str, callers: int) -> None:
            successor = beside(service, area)
            stack.callback(successor.process.stop)
            successor.process.start()
            await successor.ready()
            await found_by(callers, successor)
            ended[service.process.name] = await end(service.process)

        async def restart(service: Service) -> None:
            ended[service.process.name] = await end(service.process)
            await service.restart()

        async with talking(mesh, tally) as talkers:
            before = await some_sends(tally, STEADY_SENDS)
            await replace(mesh.chat, "CHAT", len(mesh.edges))
            await replace(mesh.persist, "PERSIST", 1)
            await restart(mesh.notify)
            for edge in mesh.edges:
                await restart(edge)
            after = await some_sends(tally, STEADY_SENDS)
        await check(mesh, tally, talkers)
    print(  # noqa: T201 - the test says what it counted
        f"sent {len(tally.sent_at)}, acked {len(tally.acked)}, retried once {dict(tally.retried)}, lost 0; "
        f"{tally.moves} connections moved\n"
        f"ended after SIGTERM in seconds: { {name: round(took, 2) for name, took in ended.items()} }\n"
        f"longest time without a message at some client: {tally.longest_gap:.2f} s\n"
        f"p99 of delivery: {tally.p99_ms(*before):.1f} ms before, "
        f"{tally.p99_ms(before[1], after[0]):.1f} ms during, {tally.p99_ms(*after):.1f} ms after"
    )
