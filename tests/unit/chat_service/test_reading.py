"""History, resumes, read pointers: what Redis answers, what the store, and what when that is down."""

from dataclasses import dataclass, field

import pytest

from chat_service.domain.model import Head, MemberPointers, ReadPointer, Role
from chat_service.domain.resume import GIVE_UP_MS, Cursor, Entry
from chat_service.use_cases.list_messages import ListMessages
from chat_service.use_cases.mark_read import MarkRead
from chat_service.use_cases.membership_lookup import MembershipLookup
from chat_service.use_cases.membership_states import MembershipStates
from chat_service.use_cases.read_log import BYTES_PER_CALL, ENTRIES_PER_CALL, ReadLog
from chat_service.use_cases.read_pointers import ReadPointers
from chat_service.use_cases.throttle import JOIN, Throttle
from mesh.clock import now_ms
from mesh.errors import (
    InvalidArgument,
    NotFound,
    ParleyError,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from mesh.ids import new_object_id
from parley.common.v1.message_pb2 import Message, MessageStatus
from tests.unit.chat_service.fakes import (
    FakeBroker,
    FakeLimiter,
    FakeLog,
    FakeNonMembers,
    FakeRecentLog,
    FakeStore,
)

CHAT = new_object_id()
OTHER = new_object_id()


def messages(*numbers: int) -> list[Message]:
    """The newest first; each position holds a message."""
    return [
        Message(id=f"message {n}", seq=n, number=n, sender_id="alice", content="hello")
        for n in sorted(numbers, reverse=True)
    ]


def entries(first: int, last: int, *, size: int = 10, at_ms: int | None = None) -> list[Entry]:
    at = now_ms() if at_ms is None else at_ms
    return [Entry(seq, at, b"x" * size, is_message=True) for seq in range(first, last + 1)]


@dataclass
class World:
    """A chat of alice and bob with ten messages."""

    log: FakeLog = field(default_factory=FakeLog)
    recent: FakeRecentLog = field(default_factory=FakeRecentLog)
    store: FakeStore = field(default_factory=FakeStore)
    broker: FakeBroker = field(default_factory=FakeBroker)
    limiter: FakeLimiter = field(default_factory=FakeLimiter)

    def __post_init__(self) -> None:
        self.log.chat(CHAT, "alice", "bob", at=Head(epoch=1, seq=10, number=10, member_count=2))
        lookup = MembershipLookup(self.log, FakeNonMembers(), self.store, self.limiter)
        states = MembershipStates(self.log, self.store, lookup)
        throttle = Throttle(self.limiter)
        self.list = ListMessages(states, self.log, self.recent, self.store)
        self.read_log = ReadLog(states, self.recent, self.store, throttle)
        read_pointers = ReadPointers(self.log, self.recent, self.broker)
        self.mark_read = MarkRead(states, read_pointers, self.recent, self.store, throttle)


@pytest.fixture
def world() -> World:
    return World()


async def shown(world: World, limit: int = 0, before: int = 0, page: int = 0) -> tuple[list[int], bool]:
    found = await world.list("bob", CHAT, limit, before, page)
    return [message.seq for message in found.messages], found.has_more


async def test_a_page_within_the_recent_log_asks_the_store_for_receipts_alone(world: World) -> None:
    world.recent.messages[CHAT] = messages(*range(5, 11))
    assert await shown(world, limit=3) == ([8, 9, 10], True)
    assert await shown(world, limit=3, before=9) == ([6, 7, 8], True)
    assert world.store.asked == {"pointers": 2}


async def test_what_is_older_comes_from_the_store_and_pages_are_ranges_of_numbers(world: World) -> None:
    world.recent.messages[CHAT] = messages(8, 9, 10)
    world.store.messages[CHAT] = messages(*range(1, 8))
    assert await shown(world, limit=5) == ([6, 7, 8, 9, 10], True)
    assert await shown(world, limit=4, page=2) == ([3, 4, 5, 6], True)
    assert await shown(world, limit=4, page=3) == ([1, 2], False)
    assert await shown(world, limit=4, page=4) == ([], False)


async def test_a_page_with_a_gap_is_refused_until_the_store_has_caught_up(world: World) -> None:
    world.recent.messages[CHAT] = messages(9, 10)
    world.store.messages[CHAT] = messages(*range(1, 7))  # 7 and 8 are on their way
    with pytest.raises(Unavailable) as refused:
        await shown(world, limit=5)
    assert refused.value.dependency == "persist"


async def test_a_gap_that_is_too_old_to_be_filled_is_shown(world: World) -> None:
    long_ago = now_ms() - GIVE_UP_MS - 60_000
    world.recent.messages[CHAT] = messages(9, 10)
    world.store.messages[CHAT] = messages(*range(1, 7))
    world.store.entries[CHAT] = [Entry(9, long_ago, b"", is_message=True)]
    assert await shown(world, limit=5) == ([4, 5, 6, 9, 10], True)


async def test_receipts_are_those_of_the_store_and_of_redis_whichever_are_further(world: World) -> None:
    world.recent.messages[CHAT] = messages(*range(1, 11))
    world.store.receipts[CHAT] = [MemberPointers("alice"), MemberPointers("bob", ReadPointer(9, 9, 5))]
    world.log.live[CHAT] = [MemberPointers("bob", ReadPointer(3, 3, 1), delivered_seq=10)]
    page = await world.list("alice", CHAT, 2, 0, 0)
    assert [message.status for message in page.messages] == [
        MessageStatus.MESSAGE_STATUS_READ,
        MessageStatus.MESSAGE_STATUS_DELIVERED,
    ]
    assert [(receipt.user_id, receipt.read_at_ms) for receipt in page.messages[0].read_by] == [("bob", 5)]
    world.store.down = True
    page = await world.list("alice", CHAT, 2, 0, 0)
    assert [len(message.read_by) for message in page.messages] == [0, 0]


async def test_only_members_page_and_only_within_the_limits(world: World) -> None:
    with pytest.raises(PermissionDenied):
        await world.list("eve", CHAT, 0, 0, 0)
    for limit, before, page in ((101, 0, 0), (0, 0, 1_001), (0, 5, 2)):
        with pytest.raises(InvalidArgument):
            await world.list("bob", CHAT, limit, before, page)


async def test_a_resume_joins_the_store_with_the_recent_log(world: World) -> None:
    world.recent.entries[CHAT] = entries(6, 10)
    world.store.entries[CHAT] = entries(1, 7)
    (found,) = await world.read_log("bob", [Cursor(CHAT, 1, 2)], 0)
    assert not isinstance(found, ParleyError)
    assert ([entry.seq for entry in found.entries], found.complete) == (list(range(3, 11)), True)
    (found,) = await world.read_log("bob", [Cursor(CHAT, 1, 7)], 2)
    assert not isinstance(found, ParleyError)
    assert ([entry.seq for entry in found.entries], found.complete) == ([8, 9], False)
    assert world.store.asked == {"list_entries": 1}


async def test_a_resume_ends_where_nobody_has_the_next_entry(world: World) -> None:
    world.recent.entries[CHAT] = entries(7, 10)
    world.store.entries[CHAT] = entries(1, 4)
    (found,) = await world.read_log("bob", [Cursor(CHAT, 1, 2)], 0)
    assert not isinstance(found, ParleyError)
    assert ([entry.seq for entry in found.entries], found.complete) == ([3, 4], False)
    (behind,) = await world.read_log("bob", [Cursor(CHAT, 1, 4)], 0)
    assert isinstance(behind, Unavailable)


async def test_an_entry_that_will_never_come_resets_the_cursor(world: World) -> None:
    world.store.entries[CHAT] = entries(6, 10, at_ms=now_ms() - GIVE_UP_MS - 60_000)
    (found,) = await world.read_log("bob", [Cursor(CHAT, 1, 4)], 0)
    assert not isinstance(found, ParleyError)
    assert (found.reset, found.complete, found.entries) == (True, True, ())


async def test_a_store_that_is_down_fails_the_cursors_that_need_it(world: World) -> None:
    world.log.chat(OTHER, "bob", at=Head(1, 1, 1, 1))
    world.recent.entries = {CHAT: entries(9, 10), OTHER: entries(1, 1)}
    world.store.down = True
    old, live, foreign = await world.read_log(
        "bob", [Cursor(CHAT, 1, 2), Cursor(OTHER, 1, 0), Cursor("no chat", 0, 0)], 0
    )
    assert isinstance(old, Unavailable)
    assert not isinstance(live, ParleyError)
    assert live.complete
    assert isinstance(foreign, PermissionDenied)


async def test_a_call_gives_so_many_entries_and_bytes_but_at_least_one(world: World) -> None:
    chats = [new_object_id() for _ in range(5)]
    for chat_id in chats:
        world.log.chat(chat_id, "bob", at=Head(1, 500, 500, 1))
        world.recent.entries[chat_id] = entries(1, 500)
    found = await world.read_log("bob", [Cursor(chat_id, 1, 0) for chat_id in chats], 500)
    counts = [len(item.entries) for item in found if not isinstance(item, ParleyError)]
    assert counts == [500] * (ENTRIES_PER_CALL // 500) + [0]
    world.recent.entries[CHAT] = entries(1, 10, size=BYTES_PER_CALL + 1)
    (large,) = await world.read_log("bob", [Cursor(CHAT, 1, 0)], 0)
    assert not isinstance(large, ParleyError)
    assert (len(large.entries), large.complete) == (1, False)


async def test_resuming_has_a_rate_per_chat(world: World) -> None:
    world.limiter.tokens[JOIN] = 1
    with pytest.raises(ResourceExhausted):
        await world.read_log("bob", [Cursor(CHAT, 1, 0), Cursor(OTHER, 1, 0)], 0)


async def test_what_is_read_is_looked_for_where_it_nearly_always_is(world: World) -> None:
    world.recent.messages[CHAT] = messages(9, 10)
    assert await world.mark_read("bob", CHAT, "message 9") == (world.log.reads[CHAT, "bob"], 1)
    assert [(move.read.seq, move.read.number) for move in world.broker.moved] == [(9, 9)]
    pointer, unread = await world.mark_read("bob", CHAT, "")
    assert (pointer.seq, unread) == (10, 0)
    assert world.store.asked.total() == 0
    # Never back.
    pointer, _ = await world.mark_read("bob", CHAT, "message 9")
    assert pointer.seq == 10


async def test_a_message_that_waits_to_be_stored_is_found_for_twice_the_price(world: World) -> None:
    world.recent.far["message 4"] = messages(4)[0]
    pointer, unread = await world.mark_read("bob", CHAT, "message 4")
    assert (pointer.seq, unread) == (4, 6)
    assert world.limiter.taken["read", "bob"] == 2
    with pytest.raises(NotFound):
        await world.mark_read("bob", CHAT, "message 5")
    world.store.down = True
    with pytest.raises(Unavailable):
        await world.mark_read("bob", CHAT, "message 5")


async def test_a_pointer_that_the_broker_did_not_take_is_told_and_not_acked(world: World) -> None:
    world.broker.confirms = False
    with pytest.raises(Unavailable):
        await world.mark_read("bob", CHAT, "")
    assert world.log.reads[CHAT, "bob"].seq == 10


async def test_without_the_store_a_cached_member_resumes_and_others_may_come_again(world: World) -> None:
    world.store.roles[CHAT, "eve"] = Role.MEMBER
    world.store.down = True
    world.recent.entries[CHAT] = entries(9, 10)
    (bob,) = await world.read_log("bob", [Cursor(CHAT, 1, 8)], 0)
    assert not isinstance(bob, ParleyError)
    (eve,) = await world.read_log("eve", [Cursor(CHAT, 1, 8)], 0)
    assert isinstance(eve, Unavailable)
