"""Making chats, and showing them as they stand now for one user."""

from dataclasses import dataclass, field

import pytest

from chat_service.domain.events import ChatAdded
from chat_service.domain.model import (
    ChatKind,
    Group,
    GroupSettings,
    Head,
    ReadPointer,
    Role,
    UserChat,
    UserChats,
)
from chat_service.use_cases.create_direct_chat import CreateDirectChat
from chat_service.use_cases.create_group import CreateGroup
from chat_service.use_cases.membership_lookup import MembershipLookup
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.throttle import CREATE, MEMBERS, Throttle
from chat_service.use_cases.views import ChatViews
from mesh.errors import InvalidArgument, PermissionDenied, ResourceExhausted, Unavailable
from mesh.ids import new_object_id
from parley.common.v1.chat_pb2 import LatestMessage
from tests.unit.chat_service.fakes import (
    FakeChannels,
    FakeLimiter,
    FakeLog,
    FakeNonMembers,
    FakePresence,
    FakeStore,
)

CHAT = new_object_id()


@dataclass
class World:
    """The use cases that make and show chats."""

    log: FakeLog = field(default_factory=FakeLog)
    store: FakeStore = field(default_factory=FakeStore)
    presence: FakePresence = field(default_factory=FakePresence)
    channels: FakeChannels = field(default_factory=FakeChannels)
    limiter: FakeLimiter = field(default_factory=FakeLimiter)

    def __post_init__(self) -> None:
        throttle = Throttle(self.limiter)
        lookup = MembershipLookup(self.log, FakeNonMembers(), self.store, self.limiter)
        states = MembershipStates(self.log, self.store, lookup)
        self.views = ChatViews(states, self.log, self.presence, self.store, throttle)
        self.create_direct = CreateDirectChat(self.log, self.store, self.channels, self.views, throttle)
        self.create_group = CreateGroup(self.log, self.store, self.channels, self.views, throttle)

    def has(self, *chat_ids: str) -> None:
        """Groups of ada and bob, with four stored messages, of which ada has read one."""
        for chat_id in chat_ids:
            self.store.group(chat_id, "ada", "bob")
        listed = (
            UserChat(chat_id, ChatKind.GROUP, 2, Role.ADMIN, ReadPointer(1, 1), last_number=4)
            for chat_id in chat_ids
        )
        self.store.listed["ada"] = UserChats(tuple(listed), "more")


@pytest.fixture
def world() -> World:
    return World()


async def test_a_list_shows_what_redis_knows_over_what_is_stored(world: World) -> None:
    quiet, busy = new_object_id(), new_object_id()
    world.has(quiet, busy)
    for chat_id in (quiet, busy):
        world.log.chat(chat_id, "ada", at=Head(2, 9, 7, 5))
    world.log.last[busy] = LatestMessage(text="hi", timestamp_ms=50)
    page = await world.views.page("ada", 0, "")
    assert [(chat.id, chat.updated_at_ms) for chat in page.chats] == [(busy, 50), (quiet, 1)]
    assert [(chat.epoch, chat.seq, chat.unread, chat.member_count) for chat in page.chats] == [
        (2, 9, 7, 5)
    ] * 2
    assert page.next_cursor == "more"


async def test_a_chat_that_redis_cannot_tell_of_is_shown_as_it_is_stored(world: World) -> None:
    known, lost, left, gone = (new_object_id() for _ in range(4))
    world.has(known, lost, left, gone)
    world.log.chat(known, "ada")
    world.log.roles[lost, "ada"] = Role.ADMIN
    world.log.roles[left, "ada"] = Role.NONE
    del world.store.chats[gone]
    world.store.down_for = {"rebuild_heads"}
    page = await world.views.page("ada", 0, "")
    assert {chat.id: chat.unread for chat in page.chats} == {known: 0, lost: 3}


async def test_a_page_has_its_limit_and_its_rate(world: World) -> None:
    with pytest.raises(InvalidArgument):
        await world.views.page("ada", 101, "")
    world.limiter.tokens[ChatViews.RATE_ACTION] = 1
    await world.views.page("ada", 0, "")
    with pytest.raises(ResourceExhausted):
        await world.views.page("ada", 0, "")


async def test_a_chat_and_its_members_are_shown_to_members_alone(world: World) -> None:
    world.has(CHAT)
    world.log.chat(CHAT, "ada")
    assert (await world.views.get("ada", CHAT)).role is Role.MEMBER
    assert len((await world.views.members("ada", CHAT, None, 0, "")).members) == 2
    for refused in (world.views.get("eve", CHAT), world.views.members("eve", CHAT, None, 0, "")):
        with pytest.raises(PermissionDenied):
            await refused
    assert world.store.asked["get_chat"] == 1


async def test_a_new_direct_chat_is_published_to_both_and_shows_who_is_there(world: World) -> None:
    world.presence.live["bob"].add("connection")
    chat, created = await world.create_direct("ada", "bob")
    assert (created, chat.online_user_ids) == (True, ("bob",))
    assert {user: len(news) for user, news in world.channels.news.items()} == {"ada": 1, "bob": 1}
    # A first attempt may have failed to publish it; once something was said, it has arrived.
    again, created = await world.create_direct("ada", "bob")
    assert (again.id, created, len(world.channels.news["bob"])) == (chat.id, False, 2)
    world.log.last[chat.id] = LatestMessage(text="hi", timestamp_ms=50)
    await world.create_direct("bob", "ada")
    assert len(world.channels.news["bob"]) == 2


async def test_a_chat_with_a_large_id_costs_as_much_as_several(world: World) -> None:
    await world.create_direct("ada", "bob")
    assert world.limiter.taken[CREATE, "ada"] == 1
    await world.create_direct("ada", "\N{GRINNING FACE}" * 128)
    assert world.limiter.taken[CREATE, "ada"] == 1 + 5


async def test_nobody_has_a_direct_chat_with_oneself(world: World) -> None:
    for peer_id in ("ada", "", "a\nb"):
        with pytest.raises(InvalidArgument):
            await world.create_direct("ada", peer_id)
    assert world.limiter.taken == {}


def group(*member_ids: str, name: str = " Crew ") -> Group:
    return Group(name, "", "", GroupSettings(), member_ids)


async def test_the_maker_of_a_group_is_its_admin_and_the_others_get_it_as_members(world: World) -> None:
    chat = await world.create_group("ada", group("bob", "ada", "bob"), strangers_limited=True)
    assert (chat.role, [member.user_id for member in chat.members]) == (Role.ADMIN, ["ada", "bob"])
    assert world.log.roles == {(chat.id, "ada"): Role.ADMIN, (chat.id, "bob"): Role.MEMBER}
    (news,) = world.channels.news["bob"]
    assert isinstance(news, ChatAdded)
    assert (news.chat.role, news.actor_id) == (Role.MEMBER, "ada")
    # Each member has a price, and the group one of its own.
    assert (world.limiter.taken[CREATE, "ada"], world.limiter.taken[MEMBERS, "ada"]) == (1, 2)


async def test_a_group_that_cannot_be_costs_nothing_and_one_that_is_not_stored_is_not_published(
    world: World,
) -> None:
    with pytest.raises(InvalidArgument):
        await world.create_group("ada", group("bob", name=" "), strangers_limited=True)
    assert world.limiter.taken == {}
    world.store.down = True
    with pytest.raises(Unavailable):
        await world.create_group("ada", group("bob"), strangers_limited=True)
    assert (world.log.heads, world.channels.news) == ({}, {})
