"""Replacing processes under load: what a roll-out does, who talks meanwhile, what must be true after it."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from chaos.mesh import ROOT, code_of
from devstack.ports import free_port
from devstack.process import ManagedProcess
from tests.e2e.mesh import Mesh, Rest, Service
from tests.faults.talker import Talker, Tally
from tests.support.polling import eventually

USERS = ("ann", "ben", "cleo", "dan")
AWAY = "eve"
"""A member of the group who never connects, and so is told."""
ENDED_WITHIN = 25.0


@contextmanager
def mesh_of_pairs(folder: Path, code: Path = ROOT) -> Iterator[Mesh]:
    """A mesh in which callers of a service know two addresses for it; one process takes over from another."""
    chat, persist, notify = ((free_port(), free_port()) for _ in range(3))
    with ExitStack() as stack:
        mesh = Mesh.start(
            folder,
            stack,
            code=code,
            PARLEY_NOTIFY_REPEAT_SECONDS="2",
            PARLEY_CHAT_PORT=str(chat[0]),
            PARLEY_CHAT_TARGET=_target(chat),
            PARLEY_PERSIST_PORT=str(persist[0]),
            PARLEY_PERSIST_TARGET=_target(persist),
            PARLEY_NOTIFY_PORT=str(notify[0]),
            PARLEY_NOTIFY_TARGET=_target(notify),
        )
        mesh.chat.port, mesh.persist.port, mesh.notify.port = chat[0], persist[0], notify[0]
        yield mesh


def _target(ports: tuple[int, int]) -> str:
    return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


def beside(service: Service, area: str, code: Path = ROOT) -> Service:
    """A second process of the same settings, not started yet: on the other address that its callers know."""
    before = service.process
    known = before.env.get(f"PARLEY_{area}_TARGET", "").removeprefix("ipv4:").split(",")
    others = [int(address.rpartition(":")[2]) for address in known if address] or [free_port()]
    port = next(port for port in others if port != service.port)
    admin_port = free_port()
    ports = {f"PARLEY_{area}_PORT": str(port), f"PARLEY_{area}_ADMIN_PORT": str(admin_port)}
    name, _, generation = before.name.partition("~")
    name = f"{name}~{int(generation or 1) + 1}"
    process = ManagedProcess(
        name,
        before.argv,
        log_path=before.log_path.with_name(f"{name}.log"),
        env={**before.env, **code_of(code), **ports},
        cwd=code,
    )
    return Service(process, port, admin_port, port)


async def found_by(callers: int, service: Service) -> None:
    """Returns once so many have a connection to a new process; gRPC looks for one within two seconds.

    Kubernetes: minReadySeconds.
    """
    await eventually(lambda: _connections(service.port) >= callers, f"callers of {service.process.name}")


async def end(process: ManagedProcess) -> float:
    """Ends a process as Kubernetes does; the seconds that it took. It must say goodbye by itself."""
    started = time.monotonic()
    process.terminate()
    assert await asyncio.to_thread(process.wait, ENDED_WITHIN), "still there"
    assert process.exit_code == 0, process.log_tail()
    log = process.log_path.read_text()
    for problem in ("service.drain_overran", "service.drain_failed", "service.close_overran", "task.failed"):
        assert problem not in log, log
    return time.monotonic() - started


def _connections(port: int) -> int:
    """How many TCP connections a local server on that port has."""
    tables = (Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text())
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return sum(int(row[1].rpartition(":")[2], 16) == port and row[3] == "01" for row in rows)


@asynccontextmanager
async def talking(mesh: Mesh, tally: Tally) -> AsyncIterator[list[Talker]]:
    """Half of the users begin with one edge and half with the other; all of them talk in one group."""
    async with AsyncExitStack() as stack:
        talkers = [
            Talker(user, edges, tally)
            for user, edges in zip(USERS, itertools.cycle((mesh.edges, mesh.edges[::-1])), strict=False)
        ]
        for talker in talkers:
            await talker.start(stack)
        rest = Rest(mesh.edges[0], USERS[0])
        group = {"name": "rolling", "description": "", "memberIds": [*USERS[1:], AWAY]}
        chat_id = (await rest.post("/groups", group))["group"]["id"]
        await rest.close()
        stop = asyncio.Event()
        tasks = [asyncio.create_task(talker.talk(chat_id, stop)) for talker in talkers]
        try:
            yield talkers
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            await eventually(
                lambda: all(len(talker.seen) >= len(tally.sent_at) for talker in talkers),
                f"{[len(talker.seen) for talker in talkers]} of {len(tally.sent_at)} delivered",
            )
            await asyncio.gather(*(talker.read() for talker in talkers))


async def some_sends(tally: Tally, count: int) -> tuple[float, float]:
    """Some load while nothing happens; when it was."""
    began = time.perf_counter()
    reached = len(tally.acked) + count
    await eventually(lambda: len(tally.acked) >= reached, f"{count} more acks")
    return began, time.perf_counter()


async def check(mesh: Mesh, tally: Tally, talkers: list[Talker]) -> None:
    """Acked, stored and delivered are the same, each once; all of it is read, and who is away is told."""
    assert tally.lost == []
    assert tally.acked == set(tally.sent_at)
    database = mesh.database()

    def stored() -> Counter[str]:
        return Counter(found["clientMsgId"] for found in database.messages.find({}, {"clientMsgId": 1}))

    once = Counter(dict.fromkeys(tally.sent_at, 1))
    await eventually(lambda: stored() == once, "each sent message stored once")
    for talker in talkers:
        view = [(seq, talker.seen[seq]) for seq in sorted(talker.seen)]
        assert [message["number"] for _, message in view] == list(range(1, len(once) + 1)), talker.user_id
        assert Counter(message["clientMsgId"] for _, message in view) == once, talker.user_id

    def read() -> dict[str, int]:
        return {found["userId"]: found["readNumber"] for found in database.memberships.find()}

    everything = dict.fromkeys(USERS, len(once)) | {AWAY: 0}
    await eventually(lambda: read() == everything, f"{everything} read: {read()}")

    def told() -> set[str]:
        ledger = mesh.database("parley_notify").ledger
        return {message for decided in ledger.find({"users": AWAY}) for message in decided["messages"]}

    last = next(message["id"] for _, message in view if message["number"] == len(once))
    await eventually(lambda: last in told(), f"{AWAY} told of the last message")


async def read_history(edge: Service, chat_id: str) -> list[int]:
    """The numbers of all messages, page by page."""
    rest, numbers, before = Rest(edge, USERS[0]), list[int](), ""
    page: dict[str, Any] = {"hasMore": True}
    while page["hasMore"]:
        page = await rest.get(f"/chats/{chat_id}/messages?limit=100{before}")
        numbers = [message["number"] for message in page["messages"]] + numbers
        before = f"&before={page['messages'][0]['seq']}"
    await rest.close()
    return numbers
