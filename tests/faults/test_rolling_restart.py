"""A new version is rolled out under load: each service process ends by SIGTERM while its successor serves.

Ended one by one: chat_service, persist_service, notify_service. Counted: sends, retries, acked, stored,
delivered, repeated.
"""

import asyncio
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devstack.ports import free_port
from devstack.process import ManagedProcess
from tests.e2e.mesh import Client, Mesh, Rest, Service, until

USERS = ("ann", "ben", "cleo", "dan")
PAUSE_SECONDS = 0.04  # between two sends of one user; the limit is 50 a second
RETRY_SECONDS = 0.5  # at least, before a client's one retry
STEADY_SENDS = 400  # before the first process ends, and after the last


@dataclass
class Tally:
    """What the clients saw."""

    sent_at: dict[str, float] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    retried: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    delays: list[tuple[float, float]] = field(default_factory=list)
    """(when it was sent, seconds until a client had it)"""

    def p99_ms(self, since: float, until: float) -> float:
        delays = [delay for sent, delay in self.delays if since <= sent <= until]
        return statistics.quantiles(delays, n=100)[98] * 1000


@dataclass(slots=True)
class Talker(Client):
    """Sends all the time, repeats what failed once, and notes when messages arrive."""

    tally: Tally = field(default_factory=Tally)

    async def _read(self) -> None:
        async for text in self.socket:
            now = time.perf_counter()
            frame = msgspec.json.decode(text)
            if frame["event"] == "new-message":
                sent = self.tally.sent_at[frame["data"]["clientMsgId"]]
                self.tally.delays.append((sent, now - sent))
            async with self._arrived:
                self.frames.append(frame)
                self._arrived.notify_all()

    async def talk(self, chat_id: str, stop: asyncio.Event) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            key = f"{self.user_id}-{number}"
            self.tally.sent_at[key] = time.perf_counter()
            reply = await self._send(chat_id, key)
            if reply["event"] == "error":
                self.tally.retried[reply["data"]["code"]] += 1
                assert reply["data"]["retryable"], reply
                await asyncio.sleep(max(RETRY_SECONDS, reply["data"].get("retryAfterMs", 0) / 1000))
                reply = await self._send(chat_id, key)
            if reply["event"] == "ack":
                self.tally.acked.add(key)
            else:
                self.tally.lost.append(f"{key}: {reply['data']}")
            await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)

    async def _send(self, chat_id: str, key: str) -> dict[str, Any]:
        data = {"chatId": chat_id, "content": key, "type": "text", "clientMsgId": key}
        return await self.ask("send-message", data)


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
    assert await asyncio.to_thread(service.process.wait, 25), "still there after 25 s"
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
async def _talking(mesh: Mesh, tally: Tally) -> AsyncIterator[tuple[list[Talker], str]]:
    async with AsyncExitStack() as stack:
        talkers = []
        for user, edge in zip(USERS, itertools.cycle(mesh.edges)):
            talker = await Talker.open(edge, user, stack)
            talker.tally = tally
            talkers.append(talker)
        group = {"name": "rolling", "description": "", "memberIds": list(USERS[1:])}
        rest = Rest(mesh.edges[0], USERS[0])
        stack.push_async_callback(rest.close)
        chat_id = (await rest.post("/groups", group))["group"]["id"]
        for talker in talkers[1:]:
            await talker.wait_for("chat-created")
        stop = asyncio.Event()
        tasks = [asyncio.create_task(talker.talk(chat_id, stop)) for talker in talkers]
        try:
            yield talkers, chat_id
        finally:
            stop.set()
            await asyncio.gather(*tasks)


@pytest.mark.timeout(180)
async def test_rolling_every_service_loses_no_ack_and_no_send(mesh: Mesh, tmp_path: Path) -> None:
    tally = Tally()
    ended: dict[str, float] = {}
    marks: list[float] = []
    successors: list[Service] = []

    async def steady() -> None:
        """Some load without anything happening."""
        marks.append(time.perf_counter())
        reached = len(tally.acked) + STEADY_SENDS
        async with asyncio.timeout(30):
            while len(tally.acked) < reached:
                await asyncio.sleep(0.02)
        marks.append(time.perf_counter())

    async def roll(service: Service, area: str, callers: int) -> None:
        successor = _successor(service, area, tmp_path)
        successors.append(successor)
        successor.process.start()
        await successor.ready()
        # Kubernetes: minReadySeconds. gRPC looks for a new address within two seconds.
        await until(lambda: _connections(successor.port) >= callers, f"callers of the second {area}", 20)
        ended[service.process.name] = await _end(service)

    try:
        async with _talking(mesh, tally) as (talkers, chat_id):
            await steady()
            await roll(mesh.chat, "CHAT", len(mesh.edges))
            await roll(mesh.persist, "PERSIST", 1)
            ended["notify"] = await _end(mesh.notify)
            await mesh.notify.restart()
            await steady()
        await _check(mesh, tally, talkers, chat_id)
    finally:
        for successor in successors:
            successor.process.stop()
    print(  # noqa: T201 - the test says what it counted
        f"sent {len(tally.sent_at)}, acked {len(tally.acked)}, retried once {dict(tally.retried)}, lost 0\n"
        f"ended after SIGTERM in seconds: { {name: round(took, 2) for name, took in ended.items()} }\n"
        f"p99 of delivery: {tally.p99_ms(marks[0], marks[1]):.1f} ms before, "
        f"{tally.p99_ms(marks[1], marks[2]):.1f} ms during, {tally.p99_ms(marks[2], marks[3]):.1f} ms after"
    )


async def _check(mesh: Mesh, tally: Tally, talkers: list[Talker], chat_id: str) -> None:
    assert tally.lost == []
    assert tally.acked == set(tally.sent_at)
    messages = mesh.database().messages

    def stored() -> Counter[str]:
        return Counter(found["clientMsgId"] for found in messages.find({}, {"clientMsgId": 1}))

    once = Counter(dict.fromkeys(tally.sent_at, 1))
    await until(lambda: stored() == once, "each sent message stored once", 20)
    for talker in talkers:
        got = await talker.wait_for("new-message", len(once), chatId=chat_id)
        numbers = [message["number"] for message in got]
        assert numbers == list(range(1, len(once) + 1)), f"{talker.user_id}: not once, not in order"
