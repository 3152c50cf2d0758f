"""A new version is rolled out under load: every process ends by SIGTERM, one after the other.

The successors of chat_service and persist_service serve beside them before they end, as in Kubernetes.
Clients of an edge move to the other. Counted: sends, retries, acked, stored, delivered; every client's view
must be whole.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from devstack.ports import free_port
from devstack.process import ManagedProcess
from tests.e2e.mesh import Mesh, Rest, Service, until
from tests.faults.talker import Talker, Tally

USERS = ("ann", "ben", "cleo", "dan")
STEADY_SENDS = 400  # before the first process ends, and after the last
ENDED_WITHIN = 25.0


@contextmanager
def _mesh(folder: Path) -> Iterator[Mesh]:
    """A mesh in which callers of chat_service and persist_service know two addresses for each."""
    chat, persist = (free_port(), free_port()), (free_port(), free_port())
    with ExitStack() as stack:
        mesh = Mesh.start(
            folder,
            stack,
            PARLEY_CHAT_PORT=str(chat[0]),
            PARLEY_CHAT_TARGET=_target(chat),
            PARLEY_PERSIST_PORT=str(persist[0]),
            PARLEY_PERSIST_TARGET=_target(persist),
        )
        mesh.chat.port, mesh.persist.port = chat[0], persist[0]
        yield mesh


def _target(ports: tuple[int, int]) -> str:
    return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with _mesh(tmp_path) as mesh:
        asyncio.run(mesh.ready())
        yield mesh


def _successor(service: Service, area: str, folder: Path) -> Service:
    """A second process of the same settings on the other address."""
    process = service.process
    assert process._env is not None
    port = int(process._env[f"PARLEY_{area}_TARGET"].rpartition(":")[2])
    admin_port = free_port()
    ports = {f"PARLEY_{area}_PORT": str(port), f"PARLEY_{area}_ADMIN_PORT": str(admin_port)}
    successor = ManagedProcess(
        f"{process.name}-2",
        process.argv,
        log_path=folder / f"{process.name}-2.log",
        env={**process._env, **ports},
        cwd=process._cwd,
    )
    return Service(successor, port, admin_port, port)


async def _end(service: Service) -> float:
    """Ends a process as Kubernetes does; the seconds that it took. It must say goodbye by itself."""
    started = time.monotonic()
    service.process.terminate()
    assert await asyncio.to_thread(service.process.wait, ENDED_WITHIN), "still there"
    assert service.process.exit_code == 0, service.process.log_tail()
    log = service.process.log_path.read_text()
    for problem in ("service.drain_overran", "service.drain_failed", "service.close_overran", "task.failed"):
        assert problem not in log, log
    return time.monotonic() - started


def _connections(port: int) -> int:
    """How many TCP connections a local server on that port has."""
    tables = (Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text())
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return sum(int(row[1].rpartition(":")[2], 16) == port and row[3] == "01" for row in rows)


@asynccontextmanager
async def _talking(mesh: Mesh, tally: Tally) -> AsyncIterator[list[Talker]]:
    """Half of the users begin with one edge and half with the other; all of them talk in one group."""
    async with AsyncExitStack() as stack:
        talkers = [
            Talker(user, edges, tally)
            for user, edges in zip(USERS, itertools.cycle((mesh.edges, mesh.edges[::-1])), strict=False)
        ]
        for talker in talkers:
            await talker.start(stack)
        rest = Rest(mesh.edges[0], USERS[0])
        group = {"name": "rolling", "description": "", "memberIds": list(USERS[1:])}
        chat_id = (await rest.post("/groups", group))["group"]["id"]
        await rest.close()
        stop = asyncio.Event()
        tasks = [asyncio.create_task(talker.talk(chat_id, stop)) for talker in talkers]
        try:
            yield talkers
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            await until(
                lambda: all(len(talker.seen) >= len(tally.sent_at) for talker in talkers),
                f"{[len(talker.seen) for talker in talkers]} of {len(tally.sent_at)} delivered",
                20,
            )


async def _steady(tally: Tally) -> tuple[float, float]:
    """Some load while nothing happens; when it was."""
    began = time.perf_counter()
    reached = len(tally.acked) + STEADY_SENDS
    await until(lambda: len(tally.acked) >= reached, "steady load", 30)
    return began, time.perf_counter()


@pytest.mark.timeout(240)
async def test_rolling_every_process_loses_no_ack_and_no_send(mesh: Mesh, tmp_path: Path) -> None:
    tally = Tally()
    ended: dict[str, float] = {}
    with ExitStack() as stack:

        async def replace(service: Service, area: str, callers: int) -> None:
            successor = _successor(service, area, tmp_path)
            stack.callback(successor.process.stop)
            successor.process.start()
            await successor.ready()
            # Kubernetes: minReadySeconds. gRPC looks for a new address within two seconds.
            await until(lambda: _connections(successor.port) >= callers, f"callers of the second {area}", 20)
            ended[service.process.name] = await _end(service)

        async def restart(service: Service) -> None:
            ended[service.process.name] = await _end(service)
            await service.restart()

        async with _talking(mesh, tally) as talkers:
            before = await _steady(tally)
            await replace(mesh.chat, "CHAT", len(mesh.edges))
            await replace(mesh.persist, "PERSIST", 1)
            await restart(mesh.notify)
            for edge in mesh.edges:
                await restart(edge)
            after = await _steady(tally)
        await _check(mesh, tally, talkers)
    print(  # noqa: T201 - the test says what it counted
        f"sent {len(tally.sent_at)}, acked {len(tally.acked)}, retried once {dict(tally.retried)}, lost 0; "
        f"{tally.moves} connections moved\n"
        f"ended after SIGTERM in seconds: { {name: round(took, 2) for name, took in ended.items()} }\n"
        f"p99 of delivery: {tally.p99_ms(*before):.1f} ms before, "
        f"{tally.p99_ms(before[1], after[0]):.1f} ms during, {tally.p99_ms(*after):.1f} ms after"
    )


async def _check(mesh: Mesh, tally: Tally, talkers: list[Talker]) -> None:
    assert tally.lost == []
    assert tally.acked == set(tally.sent_at)
    messages = mesh.database().messages

    def stored() -> Counter[str]:
        return Counter(found["clientMsgId"] for found in messages.find({}, {"clientMsgId": 1}))

    once = Counter(dict.fromkeys(tally.sent_at, 1))
    await until(lambda: stored() == once, "each sent message stored once", 20)
    for talker in talkers:
        view = [(seq, talker.seen[seq]) for seq in sorted(talker.seen)]
        assert [message["number"] for _, message in view] == list(range(1, len(once) + 1)), talker.user_id
        assert Counter(message["clientMsgId"] for _, message in view) == once, talker.user_id
