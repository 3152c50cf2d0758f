"""Coming back after a while: the slices of ReadLog on real services and servers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chat_service.adapters.redis import keys
from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.chat_service.scaffold import World
from tests.support.polling import eventually


def seqs(found: Any) -> list[int]:
    return [entry.seq for entry in found.entries]


async def test_the_recent_log_serves_what_it_reaches(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 3)
    await world.chat.AddMembers(pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=["carol"]))
    await world.fill(chat_id, 2)
    (found,) = await world.read((chat_id, 1, 2))
    assert (seqs(found), found.complete, found.reset) == ([3, 4, 5, 6], True, False)
    assert [entry.WhichOneof("body") for entry in found.entries] == [
        "message",
        "members_added",
        "message",
        "message",
    ]
    assert (found.head.seq, found.head.number, found.head.epoch) == (6, 5, 1)
    (nothing,) = await world.read((chat_id, 1, 6))
    assert (seqs(nothing), nothing.complete) == ([], True)
    (everything,) = await world.read((chat_id, 0, 0))
    assert seqs(everything) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kept", [0, 30, 200])
async def test_whatever_redis_kept_a_slice_is_the_same(world: World, kept: int) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 260)
    (expected,) = await world.read((chat_id, 1, 100))
    await world.stored(chat_id, 260)
    await world.redis.xtrim(keys.log(chat_id), maxlen=kept, approximate=False)
    for start in (0, 59, 60, 61, 100, 229, 230, 259):
        (found,) = await world.read((chat_id, 1, start), limit=500)
        assert (seqs(found), found.complete) == (list(range(start + 1, 261)), True), start
    (found,) = await world.read((chat_id, 1, 100))
    assert list(found.entries) == list(expected.entries)


async def test_a_long_absence_comes_in_windows(world: World) -> None:
    chat_id = await world.direct()
    await world.fill(chat_id, 320)
    await world.stored(chat_id, 320)
    seen, rounds = [0], 0
    while True:
        (found,) = await world.read((chat_id, 1, seen[-1]), limit=150)
        seen += seqs(found)
        rounds += 1
        if found.complete:
            break
    assert (seen, rounds) == (list(range(321)), 3)


async def test_a_thousand_cursors_in_one_call(world: World) -> None:
    mine = [await world.direct("bob", f"friend-{number}") for number in range(30)]
    for chat_id in mine:
        await world.fill(chat_id, 3, user_id="bob")
    await world.redis.delete(*(keys.log(chat_id) for chat_id in mine[:10]))
    for chat_id in mine[:10]:
        await world.stored(chat_id, 3)
    foreign = await world.direct("eve", "mallory")
    cursors = [(chat_id, 1, 1) for chat_id in mine]
    cursors += [(foreign, 1, 0), ("nonsense", 1, 0)]
    cursors += [(new_object_id(), 1, 0) for _ in range(1_000 - len(cursors))]
    slices = await world.read(*cursors)
    assert [item.chat_id for item in slices] == [cursor[0] for cursor in cursors]
    for found in slices[:30]:
        assert (seqs(found), found.complete) == ([2, 3], True)
    # Foreign, malformed and unknown chats are told apart by nobody.
    assert {item.error.reason for item in slices[30:]} == {ErrorReason.ERROR_REASON_NOT_A_MEMBER}
    assert {item.error.message for item in slices[30:]} == {slices[30].error.message}
    with pytest.raises(InvalidArgument):
        await world.read(*cursors, cursors[0])
    with pytest.raises(InvalidArgument):
        await world.read(cursors[0], limit=501)


async def test_a_call_is_bounded_and_still_gets_on(world: World) -> None:
    mine = [await world.direct("bob", f"friend-{number}") for number in range(3)]
    for chat_id in mine:
        await world.fill(chat_id, 450, user_id="bob")
        await world.stored(chat_id, 450)
        await world.forget_recent(chat_id)
    seen = dict.fromkeys(mine, 0)
    sizes: list[int] = []
    while any(seq < 450 for seq in seen.values()):
        slices = await world.read(*((chat_id, 1, seq) for chat_id, seq in seen.items()), limit=500)
        sizes.append(sum(len(found.entries) for found in slices))
        for found in slices:
            assert seqs(found) == list(
                range(seen[found.chat_id] + 1, seen[found.chat_id] + len(found.entries) + 1)
            )
            seen[found.chat_id] += len(found.entries)
        assert 0 < sizes[-1] <= 2_000
    assert sizes == [1_350]


async def test_large_entries_are_cut_by_bytes(world: World) -> None:
    chat_id = await world.direct()
    for number in range(180):
        await world.send(chat_id, f"large-{number}", "\N{GRINNING FACE}" * 4_000)
    await world.stored(chat_id, 180)
    first = await world.read((chat_id, 1, 0), (chat_id, 1, 0))
    assert 100 < len(first[0].entries) < 180
    assert (first[0].complete, len(first[1].entries) <= 1, first[1].complete) == (False, True, False)
    await world.forget_recent(chat_id)
    seen = 0
    while seen < 180:
        (found,) = await world.read((chat_id, 1, seen))
        assert seqs(found)[0] == seen + 1
        seen = seqs(found)[-1]


async def test_cursors_of_the_future_and_of_an_earlier_life_are_reset(world: World) -> None:
    chat_id = await world.direct()
    await world.fill(chat_id, 5)
    await world.stored(chat_id, 5)
    for epoch, seq in ((1, 6), (2, 3), (0, 2**64 - 1), (2**64 - 1, 0)):
        (found,) = await world.read((chat_id, epoch, seq))
        assert (found.reset, found.complete, seqs(found), found.head.seq) == (True, True, [], 5)

    await world.redis.flushall()
    (found,) = await world.read((chat_id, 1, 5))
    base = 5 + 2**20
    assert (found.reset, found.complete, seqs(found)) == (True, True, [])
    assert (found.head.epoch, found.head.seq) == (2, base)
    await world.fill(chat_id, 3)
    for epoch, seq in ((1, 5), (0, 5), (1, 2), (0, 0), (2, 5), (1, base + 2)):
        (found,) = await world.read((chat_id, epoch, seq))
        assert (found.reset, found.complete, seqs(found)) == (True, True, [base + 1, base + 2, base + 3])
    (found,) = await world.read((chat_id, 2, base + 1))
    assert (found.reset, found.complete, seqs(found)) == (False, True, [base + 2, base + 3])


async def test_what_is_not_stored_yet_is_never_skipped(world: World) -> None:
    chat_id = await world.direct()
    await world.fill(chat_id, 10)
    await world.stored(chat_id, 10)
    messages = world.persist.db.messages
    (held_back,) = messages.find({"seq": 6})
    messages.delete_one({"seq": 6})
    await world.forget_recent(chat_id)
    (found,) = await world.read((chat_id, 1, 3))
    assert (seqs(found), found.complete, found.reset) == ([4, 5], False, False)
    (found,) = await world.read((chat_id, 1, 5))
    assert (found.error.reason, found.error.retry_after_ms) == (ErrorReason.ERROR_REASON_UNAVAILABLE, 1_000)
    # The recent log and the store together have all of it.
    await world.fill(chat_id, 1)
    messages.insert_one(held_back)
    (found,) = await world.read((chat_id, 1, 5))
    assert (seqs(found), found.complete) == ([6, 7, 8, 9, 10, 11], True)

    # A hole that no retry will ever fill ends in a reset, not in a client that asks for ever.
    messages.delete_one({"seq": 6})
    messages.update_many({}, {"$set": {"createdAt": datetime(2020, 1, 1, tzinfo=UTC)}})
    await world.stored(chat_id, 11)
    await world.forget_recent(chat_id)
    (found,) = await world.read((chat_id, 1, 5))
    assert (found.reset, found.complete, seqs(found)) == (True, True, [])


async def test_who_was_removed_reads_nothing_more(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 2)
    assert len((await world.read((chat_id, 1, 0)))[0].entries) == 2
    await world.chat.RemoveMember(pb.RemoveMemberRequest(user_id="alice", chat_id=chat_id, member_id="bob"))
    (found,) = await world.read((chat_id, 1, 0))
    assert found.error.reason == ErrorReason.ERROR_REASON_NOT_A_MEMBER
    assert not found.entries


async def test_an_empty_chat_has_nothing_to_tell(world: World) -> None:
    chat_id = await world.direct()

    async def answered() -> Any:
        (found,) = await world.read((chat_id, 0, 0))
        return found

    found = await eventually(answered)
    assert (found.complete, found.reset, seqs(found), found.head.seq) == (True, False, [], 0)
