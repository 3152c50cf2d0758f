"""The log of a chat on a real Redis: one order, no holes, each send once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.chat_log import RedisChatLog, Retention
from chat_service.adapters.redis.outbox import RedisOutbox
from chat_service.adapters.redis.pending_changes import RedisPendingChanges
from chat_service.adapters.redis.recent_log import RedisRecentLog
from chat_service.domain.events import members_added, message_sent
from chat_service.domain.model import (
    Delivery,
    FoundSend,
    Member,
    Membership,
    ReadPointer,
    Role,
    Send,
    StoredHead,
)
from chat_service.ports.log import MembersNow, Refusal, Taken
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.ids import new_object_id
from parley.chat.v1.chat_service_pb2 import SendAccepted
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent

CHAT = "65a1b2c3d4e5f60718293a4b"


@pytest.fixture
def log(redis: Redis) -> RedisChatLog:
    return RedisChatLog(redis, Retention(recent_entries=50))


@pytest.fixture
def outbox(redis: Redis) -> RedisOutbox:
    return RedisOutbox(redis)


def message(
    key: str,
    content: str = "hello",
    sender: str = "alice",
    chat_id: str = CHAT,
    at_ms: int = 1_700_000_000_000,
) -> Send:
    said = Message(sender_id=sender, chat_id=chat_id, content=content, client_msg_id=key)
    return Send(message_sent(said, at_ms))


async def kept(redis: Redis) -> list[Message]:
    """What the recent log has, the oldest first."""
    recent = await RedisRecentLog(redis, seconds=60).newest(CHAT, 1_000)
    return list(reversed(recent.messages))


async def begin(log: RedisChatLog) -> None:
    await log.begin(CHAT, {"alice": Role.MEMBER, "bob": Role.MEMBER}, 2)


def taken(outcome: Taken | Refusal) -> Taken:
    assert isinstance(outcome, Taken)
    return outcome


async def published(pubsub: Any, count: int) -> Sequence[ChatEvent]:
    events: list[ChatEvent] = []
    async with asyncio.timeout(30):
        async for item in pubsub.listen():
            if item["type"] == "message":
                events.append(ChatEvent.FromString(item["data"]))
                if len(events) == count:
                    break
    return events


async def test_concurrent_batches_make_one_dense_order_that_is_published_and_kept_alike(
    redis: Redis, log: RedisChatLog
) -> None:
    await begin(log)
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.channel(CHAT))
        batches = [[message(f"{batch}-{item}") for item in range(8)] for batch in range(5)]
        outcomes = [
            taken(item) for batch in await asyncio.gather(*map(log.accept, batches)) for item in batch
        ]
        events = await published(pubsub, 40)
    assert sorted(item.accepted.seq for item in outcomes) == list(range(1, 41))
    assert [event.seq for event in events] == list(range(1, 41))
    recent = await kept(redis)
    assert [item.seq for item in recent] == list(range(1, 41))
    assert [item.id for item in recent] == [event.message.id for event in events]
    entries = {item.entry.seq: item.entry.encoded for item in outcomes if item.entry}
    assert [ChatEvent.FromString(entries[seq]) for seq in range(1, 41)] == events


async def test_a_repeat_gets_the_first_answer_and_no_second_place(
    redis: Redis, log: RedisChatLog, outbox: RedisOutbox
) -> None:
    await begin(log)
    (first,) = await log.accept([message("once")])
    (again,) = await log.accept([message("once")])
    assert taken(again).accepted.duplicate
    assert taken(again).accepted.seq == taken(first).accepted.seq
    assert taken(again).accepted.message_id == taken(first).accepted.message_id
    # Still unconfirmed, so the repeat brings the same bytes to hand over; once confirmed it brings none.
    assert taken(again).entry == taken(first).entry
    entry = taken(first).entry
    assert entry is not None
    await outbox.clear([entry])
    (later,) = await log.accept([message("once")])
    assert taken(later).entry is None
    assert [item.client_msg_id for item in await kept(redis)] == ["once"]


async def test_the_same_key_with_other_content_is_a_conflict(log: RedisChatLog) -> None:
    await begin(log)
    await log.accept([message("once", "this")])
    assert await log.accept([message("once", "that")]) == [Refusal.CONFLICT]
    # Another sender's key is another key.
    assert isinstance((await log.accept([message("once", "that", sender="bob")]))[0], Taken)


async def test_only_members_are_let_in(redis: Redis, log: RedisChatLog) -> None:
    await begin(log)
    assert await log.accept([message("a", sender="eve")]) == [Refusal.ROLE_UNKNOWN]
    await log.remember("eve", {CHAT: Membership(Role.NONE, ReadPointer())})
    assert await log.accept([message("a", sender="eve")]) == [Refusal.NOT_A_MEMBER]
    assert await kept(redis) == []


async def test_a_removal_wins_over_a_late_answer_of_the_store(log: RedisChatLog) -> None:
    await begin(log)
    await log.deny(CHAT, "bob")
    await log.remember("bob", {CHAT: Membership(Role.MEMBER, ReadPointer())})
    assert await log.accept([message("a", sender="bob")]) == [Refusal.NOT_A_MEMBER]


async def test_a_lost_log_starts_a_new_epoch_beyond_what_may_be_on_its_way(
    redis: Redis, log: RedisChatLog
) -> None:
    await begin(log)
    await log.accept([message("before")])
    await redis.flushall()
    await log.remember("alice", {CHAT: Membership(Role.MEMBER, ReadPointer())})
    assert await log.accept([message("after")]) == [Refusal.HEAD_MISSING]
    await log.restore_heads({CHAT: StoredHead(epoch=2, seq=1_001, number=1, member_count=2)})
    assert await log.accept([message("after")]) == [Refusal.DEDUPE_UNCERTAIN]
    (after,) = await log.accept([replace(message("after"), is_new=True)])
    accepted = taken(after).accepted
    assert (accepted.epoch, accepted.seq, accepted.number) == (2, 1_002, 2)
    # Restoring again changes nothing.
    await log.restore_heads({CHAT: StoredHead(epoch=7, seq=7, number=7, member_count=2)})
    (known,) = await log.known("alice", [CHAT])
    assert known.head is not None
    assert (known.head.epoch, known.head.seq, known.head.base) == (2, 1_002, 1_001)


async def test_after_a_loss_a_repeat_gets_the_answer_that_the_store_kept(
    redis: Redis, log: RedisChatLog
) -> None:
    first = Message()
    first.CopyFrom(message("once", "hello").event.message)
    first.MergeFrom(Message(id="f" * 24, seq=7, number=5, created_at_ms=1_600_000_000_000))
    await log.remember("alice", {CHAT: Membership(Role.MEMBER, ReadPointer())})
    await log.restore_heads({CHAT: StoredHead(epoch=2, seq=1_000, number=9, member_count=2)})
    await log.remember_sends([FoundSend(first, epoch=1)])
    (again,) = await log.accept([message("once", "hello")])
    accepted = taken(again).accepted
    assert accepted == SendAccepted(
        message_id=first.id,
        chat_id=CHAT,
        epoch=1,
        seq=7,
        number=5,
        created_at_ms=1_600_000_000_000,
        duplicate=True,
    )
    assert taken(again).entry is None
    assert await log.accept([message("once", "other words")]) == [Refusal.CONFLICT]
    # What Redis has heard meanwhile is not overwritten, and the doubt ends with the time of remembering.
    other = Message()
    other.CopyFrom(first)
    other.id = "e" * 24
    await log.remember_sends([FoundSend(other, epoch=1)])
    assert taken((await log.accept([message("once", "hello")]))[0]).accepted.message_id == first.id
    assert 0 < await redis.ttl(keys.dedupe_uncertain(CHAT)) <= 86_400
    await redis.delete(keys.dedupe_uncertain(CHAT))
    assert isinstance((await log.accept([message("never seen")]))[0], Taken)


async def test_ids_with_colons_are_not_taken_for_one_another(log: RedisChatLog) -> None:
    await log.begin(CHAT, {"a": Role.MEMBER, "a:b": Role.MEMBER, "a%3Ab": Role.MEMBER}, 3)
    sends = [message("b:c", "same", sender="a"), message("c", "same", sender="a:b")]
    sends.append(message("c", "same", sender="a%3Ab"))
    outcomes = await log.accept(sends)
    assert [taken(item).accepted.seq for item in outcomes] == [1, 2, 3]


async def test_scripts_are_loaded_again_when_redis_forgot_them(redis: Redis, log: RedisChatLog) -> None:
    await begin(log)
    await redis.script_flush()
    outcomes = await log.accept([message(str(number)) for number in range(3)])
    assert [taken(item).accepted.seq for item in outcomes] == [1, 2, 3]


async def test_a_change_takes_a_place_and_sets_roles_but_counts_no_message(log: RedisChatLog) -> None:
    await begin(log)
    await log.accept([message("a")])
    change = members_added(CHAT, "alice", [Member("eve", Role.MEMBER, 1)], 1)
    entry = await log.append(change, MembersNow(3, {"eve": Role.MEMBER}, joined=["eve"]))
    assert entry is not None
    event = ChatEvent.FromString(entry.encoded)
    assert (event.seq, event.number, event.members_added.members[0].user_id) == (2, 1, "eve")
    (outcome,) = await log.accept([message("b", sender="eve")])
    assert (taken(outcome).accepted.seq, taken(outcome).accepted.number) == (3, 2)
    (known,) = await log.known("eve", [CHAT])
    assert known.head is not None
    assert known.head.member_count == 3
    (latest,) = await log.latest([CHAT])
    assert latest is not None
    assert (latest.seq, latest.sender_id) == (3, "eve")


async def test_any_event_takes_a_place_and_leaves_the_members_and_what_pends_of_them_alone(
    redis: Redis, log: RedisChatLog, outbox: RedisOutbox
) -> None:
    await begin(log)
    pending = RedisPendingChanges(redis)
    await pending.begin(members_added(CHAT, "alice", [Member("eve", Role.MEMBER, 1)], 1))
    # Of a kind that no release of today knows: field 200.
    later = ChatEvent(chat_id=CHAT, id=new_object_id(), occurred_at_ms=1).SerializeToString()
    event = ChatEvent.FromString(later + b"\xc2\x0c\x02\x08\x01")
    await outbox.mark([CHAT])
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.channel(CHAT))
        entry = await log.append(event)
        (told,) = await published(pubsub, 1)
    assert entry is not None
    event.epoch, event.seq, event.number = 1, 1, 0
    assert (ChatEvent.FromString(entry.encoded), told) == (event, event)
    assert (await outbox.waiting(0, 10))[CHAT] == (entry,)
    pends = await pending.of(CHAT)
    assert pends is not None
    assert not pends.logged
    (known,) = await log.known("alice", [CHAT])
    assert known.head is not None
    assert known.head.member_count == 2


async def test_the_recent_log_is_bounded_and_without_a_hole(redis: Redis, log: RedisChatLog) -> None:
    await begin(log)
    for batch in range(10):
        await log.accept([message(f"{batch}-{item}") for item in range(64)])
    recent = [item.seq for item in await kept(redis)]
    assert len(recent) < 640
    assert recent == list(range(recent[0], 641))


async def test_the_outbox_holds_what_is_not_confirmed_in_order(
    redis: Redis, log: RedisChatLog, outbox: RedisOutbox
) -> None:
    await begin(log)
    await outbox.mark([CHAT])
    young = [message(str(number), at_ms=now_ms()) for number in range(12)]
    outcomes = await log.accept(young)
    entries = [entry for item in outcomes if (entry := taken(item).entry)]
    assert await outbox.waiting(60_000, 10) == {}
    waiting = await outbox.waiting(0, 10)
    assert list(waiting[CHAT]) == entries
    await outbox.clear(entries[:5])
    assert list((await outbox.waiting(0, 10))[CHAT]) == entries[5:]
    await outbox.clear(entries[5:])
    assert await outbox.waiting(0, 10) == {CHAT: ()}
    assert await redis.zcard(keys.OUTBOX_INDEX) == 0


async def test_read_pointers_only_move_forward_and_are_told_when_they_do(
    redis: Redis, log: RedisChatLog
) -> None:
    await begin(log)
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.channel(CHAT))
        assert await log.advance_read(CHAT, "bob", ReadPointer(5, 4, 100), "m5") == ReadPointer(5, 4, 100)
        assert await log.advance_read(CHAT, "bob", ReadPointer(3, 2, 200), "m3") == ReadPointer(5, 4, 100)
        assert await log.advance_read(CHAT, "bob", ReadPointer(9, 8, 300), "") == ReadPointer(9, 8, 300)
        events = await published(pubsub, 2)
    assert [(event.read.seq, event.read.message_id, event.read.whole_chat) for event in events] == [
        (5, "m5", False),
        (9, "", True),
    ]
    assert all(event.seq == 0 for event in events)


async def test_a_sender_has_read_the_own_message(log: RedisChatLog) -> None:
    await begin(log)
    await log.accept([message("a"), message("b", sender="bob"), message("c")])
    pointers = {item.user_id: item.read.seq for item in await log.pointers(CHAT)}
    assert pointers == {"alice": 3, "bob": 2}


async def test_deliveries_of_strangers_are_ignored(log: RedisChatLog) -> None:
    await begin(log)
    deliveries = [
        Delivery("bob", CHAT, "m", 3),
        Delivery("eve", CHAT, "m", 3),
        Delivery("bob", CHAT, "m", 2),
    ]
    assert await log.advance_delivered(deliveries) == [True, False, False]


async def test_typing_is_news_once_and_again_after_a_while(redis: Redis, log: RedisChatLog) -> None:
    key = keys.typing(CHAT, "bob")
    assert await log.mark_typing(CHAT, "bob", "one", is_typing=True)
    assert not await log.mark_typing(CHAT, "bob", "one", is_typing=True)
    await redis.zincrby(key, -1_500, "one")  # as it is 1.5 s later
    assert await log.mark_typing(CHAT, "bob", "one", is_typing=True)
    assert 2_000 < await redis.pttl(key) <= 3_000
    assert await log.mark_typing(CHAT, "bob", "one", is_typing=False)
    assert not await log.mark_typing(CHAT, "bob", "one", is_typing=False)


async def test_a_user_types_as_long_as_one_device_does(redis: Redis, log: RedisChatLog) -> None:
    key = keys.typing(CHAT, "bob")
    assert await log.mark_typing(CHAT, "bob", "one", is_typing=True)
    assert not await log.mark_typing(CHAT, "bob", "two", is_typing=True)
    assert not await log.mark_typing(CHAT, "bob", "one", is_typing=False)
    assert await log.mark_typing(CHAT, "bob", "two", is_typing=False)

    await log.mark_typing(CHAT, "bob", "one", is_typing=True)
    await log.mark_typing(CHAT, "bob", "two", is_typing=True)
    await redis.zincrby(key, -3_000, "one")  # it fell silent
    assert await log.mark_typing(CHAT, "bob", "two", is_typing=False)

    for number in range(50):
        await log.mark_typing(CHAT, "bob", f"device {number}", is_typing=True)
    assert await redis.zcard(key) == 8


async def test_a_message_ends_the_typing_of_its_sender_alone(log: RedisChatLog) -> None:
    await begin(log)
    for user in ("alice", "bob"):
        assert await log.mark_typing(CHAT, user, "one", is_typing=True)
    await log.accept([message("first")])
    assert await log.mark_typing(CHAT, "alice", "one", is_typing=True)
    assert not await log.mark_typing(CHAT, "bob", "one", is_typing=True)


async def test_a_chat_that_never_rests_is_swept_too(log: RedisChatLog, outbox: RedisOutbox) -> None:
    await begin(log)
    await outbox.mark([CHAT])
    await log.accept([message("left behind")])
    young = message("under way", at_ms=now_ms())
    await log.accept([young])
    for _ in range(3):
        await outbox.mark([CHAT])
        (entry,) = (await outbox.waiting(10_000, 10))[CHAT]
        assert entry.seq == 1
    await outbox.clear([entry])
    # Nothing old is left, and the mark stays: the chat was used a moment ago.
    assert await outbox.waiting(10_000, 10) == {}
    assert [entry.seq for entry in (await outbox.waiting(0, 10))[CHAT]] == [2]


@pytest.mark.parametrize(("option", "value"), [("maxmemory", "1mb"), ("min-replicas-to-write", "1")])
async def test_a_redis_that_takes_nothing_now_is_an_outage(
    redis: Redis, log: RedisChatLog, outbox: RedisOutbox, option: str, value: str
) -> None:
    await begin(log)
    await redis.config_set(option, value)
    try:
        with pytest.raises(Unavailable):
            await log.accept([message("a")])
        with pytest.raises(Unavailable):
            await outbox.mark([CHAT])
    finally:
        await redis.config_set(option, "0")
    assert isinstance((await log.accept([message("a")]))[0], Taken)
