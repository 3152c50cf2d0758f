"""Members who come and go: what is noted, logged and published, and what a change leaves that broke off."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from chat_service.domain.events import ChatAdded, ChatRemoved, member_removed, members_added
from chat_service.domain.model import GroupSettings, Member, Role
from chat_service.ports.members import Pending
from chat_service.use_cases import membership_changes
from chat_service.use_cases.add_members import AddMembers
from chat_service.use_cases.append_event import AppendEvent
from chat_service.use_cases.finish_changes import FinishChanges
from chat_service.use_cases.membership_changes import MembershipChanges
from chat_service.use_cases.membership_lookup import MembershipLookup
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.remove_member import RemoveMember
from chat_service.use_cases.throttle import MEMBERS, Throttle
from chat_service.use_cases.views import ChatViews
from mesh.errors import InvalidArgument, PermissionDenied, ResourceExhausted, Unavailable
from mesh.ids import new_object_id
from tests.unit.chat_service.fakes import (
    FakeBroker,
    FakeChannels,
    FakeLimiter,
    FakeLocks,
    FakeLog,
    FakeNonMembers,
    FakeOutbox,
    FakePending,
    FakePresence,
    FakeStore,
)

CHAT = new_object_id()


@dataclass
class World:
    """A group of ada, its admin, and bob; and the use cases that change it."""

    log: FakeLog = field(default_factory=FakeLog)
    store: FakeStore = field(default_factory=FakeStore)
    pending: FakePending = field(default_factory=FakePending)
    channels: FakeChannels = field(default_factory=FakeChannels)
    broker: FakeBroker = field(default_factory=FakeBroker)
    limiter: FakeLimiter = field(default_factory=FakeLimiter)

    def __post_init__(self) -> None:
        self.store.group(CHAT, "ada", "bob")
        self.log.chat(CHAT, "ada", role=Role.ADMIN)
        self.log.chat(CHAT, "bob")
        throttle = Throttle(self.limiter)
        lookup = MembershipLookup(self.log, FakeNonMembers(), self.store, self.limiter)
        states = MembershipStates(self.log, self.store, lookup)
        views = ChatViews(states, self.log, FakePresence(), self.store, throttle)
        self.changes = MembershipChanges(
            locks=FakeLocks(),
            pending=self.pending,
            log=self.log,
            append_event=AppendEvent(self.log, FakeOutbox(), self.broker, self.store),
            store=self.store,
            views=views,
            channels=self.channels,
        )
        self.add = AddMembers(views, self.log, self.store, self.changes, throttle)
        self.remove = RemoveMember(views, self.log, self.store, self.changes, throttle)

    def kinds(self) -> list[str | None]:
        """What was logged."""
        return [event.WhichOneof("body") for event in self.log.appended]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down is tried once."""
    monkeypatch.setattr(membership_changes, "_STORE_SECONDS", 0.0)
    monkeypatch.setattr(membership_changes, "_LOG_SECONDS", 0.0)


async def test_who_is_added_is_logged_with_its_role_and_gets_the_chat(world: World) -> None:
    chat, added = await world.add("ada", CHAT, ["bob", "cyd", "cyd"], strangers_limited=True)
    assert (added, chat.member_count) == (["cyd"], 3)
    (event,) = world.log.appended
    assert [member.user_id for member in event.members_added.members] == ["cyd"]
    (members,) = world.log.members
    assert (members.count, members.roles, list(members.joined)) == (3, {"cyd": Role.MEMBER}, ["cyd"])
    assert {user: [type(item) for item in news] for user, news in world.channels.news.items()} == {
        "cyd": [ChatAdded]
    }
    assert world.pending.changes == {}


async def test_who_are_members_already_make_no_change(world: World) -> None:
    _, added = await world.add("ada", CHAT, ["bob"], strangers_limited=False)
    assert (added, world.log.appended, world.channels.news) == ([], [], {})


async def test_members_add_others_only_where_the_group_lets_them(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await world.add("bob", CHAT, ["cyd"], strangers_limited=True)
    world.store.chats[CHAT] = replace(world.store.chats[CHAT], settings=GroupSettings(allow_invites=True))
    _, added = await world.add("bob", CHAT, ["cyd"], strangers_limited=True)
    assert added == ["cyd"]


async def test_what_cannot_be_is_refused_before_anything_is_asked(world: World) -> None:
    with pytest.raises(InvalidArgument):
        await world.add("ada", CHAT, [], strangers_limited=False)
    with pytest.raises(PermissionDenied):
        await world.add("ada", "no chat", ["cyd"], strangers_limited=False)
    world.limiter.tokens[MEMBERS] = 1
    with pytest.raises(ResourceExhausted):
        await world.add("ada", CHAT, ["cyd", "dan"], strangers_limited=False)
    assert (world.store.asked.total(), world.pending.changes) == (0, {})


async def test_who_is_removed_loses_rights_and_delivery_and_is_logged(world: World) -> None:
    await world.remove("ada", CHAT, "bob")
    assert world.log.roles[CHAT, "bob"] is Role.NONE
    assert world.kinds() == ["member_removed"]
    assert [type(item) for item in world.channels.news["bob"]] == [ChatRemoved]
    assert world.pending.changes == {}
    await world.remove("ada", CHAT, "bob")
    assert world.kinds() == ["member_removed"]


async def test_to_remove_a_large_id_costs_as_much_as_several(world: World) -> None:
    await world.remove("ada", CHAT, "bob")
    assert world.limiter.taken[MEMBERS, "ada"] == 1
    await world.remove("ada", CHAT, "\N{GRINNING FACE}" * 128)
    assert world.limiter.taken[MEMBERS, "ada"] == 1 + 5


async def test_members_remove_themselves_alone(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await world.remove("bob", CHAT, "ada")
    await world.remove("bob", CHAT, "bob")
    assert [event.member_removed.actor_id for event in world.log.appended] == ["bob"]


async def test_a_broker_that_is_down_undoes_no_change(world: World) -> None:
    world.broker.confirms = False
    await world.remove("ada", CHAT, "bob")
    assert world.kinds() == ["member_removed"]


async def test_a_lost_head_is_rebuilt_for_the_change(world: World) -> None:
    await world.changes.begin(member_removed(CHAT, "ada", "bob", 1))
    del world.log.heads[CHAT]
    del world.store.roles[CHAT, "bob"]
    await world.changes.finish(CHAT)
    assert (world.kinds(), world.log.heads[CHAT].epoch) == (["member_removed"], 2)


@pytest.mark.usefixtures("impatient")
async def test_what_the_store_may_have_done_stays_noted_until_it_answers(world: World) -> None:
    world.store.down_for = {"remove_member"}
    with pytest.raises(Unavailable):
        await world.remove("ada", CHAT, "bob")
    assert world.pending.changes[CHAT].change.member_removed.user_id == "bob"
    # Nobody knows, so the store is asked about the role next.
    assert (CHAT, "bob") not in world.log.roles
    world.store.down_for = set()
    del world.store.roles[CHAT, "bob"]  # it happened, and its answer was lost
    await FinishChanges(world.pending, world.changes, interval_seconds=1, age_ms=0).sweep()
    assert (world.kinds(), world.pending.changes) == (["member_removed"], {})
    assert [type(item) for item in world.channels.news["bob"]] == [ChatRemoved]


async def test_what_did_not_happen_is_forgotten_by_the_next_change(world: World) -> None:
    world.pending.changes[CHAT] = Pending(member_removed(CHAT, "ada", "bob", 1), logged=False)
    await world.add("ada", CHAT, ["cyd"], strangers_limited=False)
    assert (world.kinds(), world.pending.changes) == (["members_added"], {})


async def test_who_was_added_by_a_call_that_broke_off_is_published_by_the_next(world: World) -> None:
    change = members_added(CHAT, "ada", [Member("cyd", Role.MEMBER, 1), Member("dan", Role.MEMBER, 1)], 1)
    world.pending.changes[CHAT] = Pending(change, logged=False)
    world.store.roles[CHAT, "cyd"] = Role.MEMBER  # it got as far as this
    await world.changes.finish(CHAT)
    (event,) = world.log.appended
    assert [member.user_id for member in event.members_added.members] == ["cyd"]
    assert list(world.channels.news) == ["cyd"]


async def test_what_is_logged_already_is_published_and_not_logged_again(world: World) -> None:
    del world.store.roles[CHAT, "bob"]
    world.pending.changes[CHAT] = Pending(member_removed(CHAT, "ada", "bob", 1), logged=True)
    await world.changes.finish(CHAT)
    assert (world.kinds(), list(world.channels.news), world.pending.changes) == ([], ["bob"], {})


async def test_a_caller_that_goes_away_stops_no_change(world: World) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def change() -> None:
        began.set()
        await go_on.wait()
        await world.changes.begin(member_removed(CHAT, "ada", "bob", 1))

    call = asyncio.create_task(world.changes.run(CHAT, change))
    await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    await world.changes.drain()
    assert CHAT in world.pending.changes


async def test_one_chat_that_cannot_be_finished_keeps_no_other_waiting(world: World) -> None:
    other = new_object_id()
    for chat_id in (other, CHAT):
        world.pending.changes[chat_id] = Pending(member_removed(chat_id, "ada", "eve", 1), logged=False)
    world.store.group(other, "ada", "eve")
    world.log.down = {"forget_roles"}
    await FinishChanges(world.pending, world.changes, interval_seconds=1, age_ms=0).sweep()
    assert list(world.pending.changes) == [other]
