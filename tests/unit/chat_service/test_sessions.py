"""Who connects, stays and is logged out, by what Redis and the store say of tokens."""

from dataclasses import dataclass, field, replace

import pytest
from typing_extensions import override

from chat_service.domain.events import SessionsRevoked
from chat_service.domain.model import ChatKind, Delivery, ReadPointer, Role, Session, UserChat, UserChats
from chat_service.ports.sessions import EdgeLeases
from chat_service.use_cases.announcer import Announcer
from chat_service.use_cases.mark_delivered import MarkDelivered
from chat_service.use_cases.membership_lookup import MembershipLookup
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.open_session import OpenSession
from chat_service.use_cases.renew_sessions import RenewSessions
from chat_service.use_cases.revocation_check import RevocationCheck
from chat_service.use_cases.revoke_sessions import RevokeSessions
from chat_service.use_cases.set_typing import SetTyping
from chat_service.use_cases.throttle import Throttle
from mesh.errors import InvalidArgument, PermissionDenied, Unauthenticated, Unavailable
from mesh.ids import new_object_id
from tests.unit.chat_service.fakes import (
    FakeBroker,
    FakeChannels,
    FakeLimiter,
    FakeLog,
    FakeNonMembers,
    FakePresence,
    FakeRevocations,
    FakeStore,
)

CHAT = new_object_id()
ALICE = Session("alice", "connection 1", token_issued_at_ms=1_000)


@dataclass
class FakeLeases(EdgeLeases):
    """Edges that have a lease."""

    kept: set[str] = field(default_factory=set)

    @override
    async def keep(self, edge_id: str) -> bool:
        had = edge_id in self.kept
        self.kept.add(edge_id)
        return had

    @override
    async def lapsed(self, limit: int) -> list[str]:
        return []

    @override
    async def take(self, edge_id: str) -> bool:
        return False

    @override
    async def sessions(self, edge_id: str, limit: int) -> list[Session]:
        return []

    @override
    async def end(self, edge_id: str) -> bool:
        return False


@dataclass
class World:
    """The use cases of sessions among their ports."""

    log: FakeLog = field(default_factory=FakeLog)
    store: FakeStore = field(default_factory=FakeStore)
    presence: FakePresence = field(default_factory=FakePresence)
    revocations: FakeRevocations = field(default_factory=FakeRevocations)
    channels: FakeChannels = field(default_factory=FakeChannels)
    leases: FakeLeases = field(default_factory=FakeLeases)
    limiter: FakeLimiter = field(default_factory=FakeLimiter)

    def __post_init__(self) -> None:
        revoked = RevocationCheck(self.revocations, self.store)
        announcer = Announcer(self.log, self.store)
        self.open = OpenSession(self.presence, revoked, self.log, self.store, announcer)
        self.renew = RenewSessions(self.presence, self.leases, revoked, announcer)
        self.revoke = RevokeSessions(self.presence, self.revocations, self.channels, self.store)
        lookup = MembershipLookup(self.log, FakeNonMembers(), self.store, self.limiter)
        states = MembershipStates(self.log, self.store, lookup)
        self.set_typing = SetTyping(states, self.log, Throttle(self.limiter))

    def has(self, *chats: UserChat) -> None:
        """These are alice's chats."""
        self.store.listed["alice"] = UserChats(chats, "")


def chat(chat_id: str = CHAT, kind: ChatKind = ChatKind.DIRECT, members: int = 2) -> UserChat:
    return UserChat(chat_id, kind, members, Role.MEMBER, ReadPointer(3, 3), 5)


@pytest.fixture
def world() -> World:
    return World()


async def test_who_comes_is_announced_once_in_chats_that_are_not_too_large(world: World) -> None:
    large, small = new_object_id(), new_object_id()
    world.has(chat(), chat(large, ChatKind.GROUP, 101), chat(small, ChatKind.GROUP, 100))
    chat_ids, following = await world.open(ALICE, "Alice")
    assert (chat_ids, following) == ([CHAT, large, small], "")
    assert [(event.chat_id, event.presence.online) for event in world.log.announced] == [
        (CHAT, True),
        (small, True),
    ]
    # What the list says saves the join its questions.
    assert world.log.roles[CHAT, "alice"] is Role.MEMBER
    await world.open(replace(ALICE, connection_id="connection 2"), "")
    assert len(world.log.announced) == 2


async def test_a_token_that_was_revoked_opens_nothing(world: World) -> None:
    world.store.revoked["alice"] = 2_000
    with pytest.raises(Unauthenticated):
        await world.open(ALICE, "")
    world.store.revoked["alice"] = 0
    world.revocations.before["alice"] = 2_000  # in Redis it holds before the store has it
    with pytest.raises(Unauthenticated):
        await world.open(ALICE, "")
    assert world.presence.live["alice"] == set()


async def test_nobody_can_connect_without_the_store(world: World) -> None:
    world.store.down = True
    with pytest.raises(Unavailable):
        await world.open(ALICE, "")


async def test_what_redis_does_not_know_of_tokens_is_asked_once(world: World) -> None:
    sessions = [ALICE, replace(ALICE, connection_id="connection 2")]
    assert await world.renew(sessions) == ([], False)
    assert await world.renew(sessions) == ([], False)
    assert world.store.asked["revocations"] == 1


async def test_a_renewal_believes_redis_while_the_store_is_down(world: World) -> None:
    world.store.down = True
    world.revocations.ended = {"connection 2"}
    ended = replace(ALICE, connection_id="connection 2")
    revoked, _ = await world.renew([ALICE, ended])
    assert revoked == [ended]
    assert world.presence.live["alice"] == {"connection 1"}


async def test_an_edge_without_a_lease_renews_all(world: World) -> None:
    assert await world.renew([], "edge") == ([], True)
    assert await world.renew([], "edge") == ([], False)
    assert world.store.asked.total() == 0


async def test_logging_out_everywhere_holds_at_once_and_is_stored_last(world: World) -> None:
    await world.open(ALICE, "")
    assert await world.revoke("alice", "") == 1
    (news,) = world.channels.news["alice"]
    assert isinstance(news, SessionsRevoked)
    assert (news.connection_id, news.issued_before_ms) == ("", world.revocations.before["alice"])
    assert world.store.revoked["alice"] == world.revocations.before["alice"]
    world.store.down = True
    with pytest.raises(Unavailable):
        await world.revoke("alice", "")
    assert len(world.channels.news["alice"]) == 2


async def test_ending_one_connection_needs_no_store(world: World) -> None:
    await world.open(ALICE, "")
    world.store.down = True
    assert await world.revoke("alice", "connection 1") == 1
    assert await world.revoke("alice", "connection 9") == 0
    assert world.revocations.ended == {"connection 1", "connection 9"}
    with pytest.raises(InvalidArgument):
        await world.revoke("alice", "x" * 65)


async def test_typing_is_published_when_it_is_news_and_for_members_alone(world: World) -> None:
    world.log.chat(CHAT, "alice")
    for is_typing in (True, True, False):
        await world.set_typing("alice", CHAT, "connection 1", is_typing=is_typing)
    assert [event.typing.is_typing for event in world.log.announced] == [True, False]
    with pytest.raises(PermissionDenied):
        await world.set_typing("eve", CHAT, "", is_typing=True)


async def test_deliveries_that_moved_a_pointer_are_made_durable(world: World) -> None:
    world.log.chat(CHAT, "alice")
    broker = FakeBroker()
    mark_delivered = MarkDelivered(world.log, broker)
    await mark_delivered([])
    assert broker.moved == []
    await mark_delivered([Delivery("alice", CHAT, "message", 4), Delivery("eve", CHAT, "message", 4)])
    assert [(move.user_id, move.delivered_seq, move.read.seq) for move in broker.moved] == [("alice", 4, 0)]
    with pytest.raises(InvalidArgument):
        await mark_delivered([Delivery("alice", "no chat", "message", 4)])
