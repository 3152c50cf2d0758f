"""What runs without being called: users who went, and edges that died."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from typing_extensions import override

from chat_service.domain.model import ChatKind, ReadPointer, Role, Session, UserChat, UserChats
from chat_service.ports.sessions import EdgeLeases
from chat_service.use_cases.announcer import Announcer
from chat_service.use_cases.watch_departures import WatchDepartures
from chat_service.use_cases.watch_edges import WatchEdges
from mesh.ids import new_object_id
from tests.support.polling import eventually
from tests.unit.chat_service.fakes import FakeLog, FakePresence, FakeStore

CHAT = new_object_id()


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass
class Departing(FakePresence):
    """Presence of users who are gone."""

    gone: list[str] = field(default_factory=list)

    @override
    async def departed(self, limit: int) -> list[str]:
        users, self.gone = self.gone, []
        return users


@dataclass
class FakeLeases(EdgeLeases):
    """Leases that are over, and what the edges held."""

    over: set[str] = field(default_factory=set)
    held: dict[str, list[Session]] = field(default_factory=dict)
    back: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    looks: int = 0

    @override
    async def keep(self, edge_id: str) -> bool:
        return True

    @override
    async def lapsed(self, limit: int) -> list[str]:
        self.looks += 1
        return sorted(self.over)

    @override
    async def take(self, edge_id: str) -> bool:
        was_over = edge_id in self.over
        self.over.discard(edge_id)
        return was_over

    @override
    async def sessions(self, edge_id: str, limit: int) -> list[Session]:
        some, self.held[edge_id] = self.held[edge_id][:2], self.held[edge_id][2:]
        return some

    @override
    async def end(self, edge_id: str) -> bool:
        self.ended.append(edge_id)
        return edge_id in self.back


async def test_who_went_is_announced_and_recorded_also_while_the_store_is_down_for_some() -> None:
    log, store, presence = FakeLog(), FakeStore(), Departing(gone=["ada", "bob"])
    chat = UserChat(CHAT, ChatKind.DIRECT, 2, Role.MEMBER, ReadPointer(), 0)
    store.listed = {"ada": UserChats((chat,), ""), "bob": UserChats((chat,), "")}
    store.down_for = {"set_last_seen"}
    watcher = WatchDepartures(presence, store, Announcer(log, store), interval_seconds=0.01)
    async with running(watcher.run()):
        await eventually(lambda: len(log.announced) == 2)
    assert [(event.presence.user_id, event.presence.online) for event in log.announced] == [
        ("ada", False),
        ("bob", False),
    ]
    assert store.asked["set_last_seen"] == 2


def sessions(count: int) -> list[Session]:
    return [Session(f"user {number}", "connection", edge_id="edge") for number in range(count)]


async def test_the_sessions_of_an_edge_that_died_end_after_some_patience() -> None:
    leases, presence = FakeLeases(over={"edge"}, held={"edge": sessions(5)}), FakePresence()
    for session in leases.held["edge"]:
        await presence.open(session)
    patient = WatchEdges(leases, presence, interval_seconds=0.01, patience_seconds=3_600)
    async with running(patient.run()):
        await eventually(lambda: leases.looks > 1)
    assert len(await presence.online([f"user {number}" for number in range(5)])) == 5
    watcher = WatchEdges(leases, presence, interval_seconds=0.01, patience_seconds=0)
    async with running(watcher.run()):
        await eventually(lambda: not leases.held["edge"] and len(leases.ended) == 3)
    assert await presence.online([f"user {number}" for number in range(5)]) == []


async def test_an_edge_that_is_back_keeps_the_rest() -> None:
    leases, presence = FakeLeases(over={"edge"}, held={"edge": sessions(5)}, back={"edge"}), FakePresence()
    watcher = WatchEdges(leases, presence, interval_seconds=0.01, patience_seconds=0)
    async with running(watcher.run()):
        await eventually(lambda: leases.ended)
    assert len(leases.held["edge"]) == 3
