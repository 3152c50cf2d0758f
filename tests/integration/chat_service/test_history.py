"""Paging through history while the store lags: whole pages, or an error that says so."""

import pytest

from chat_service.adapters.redis import keys
from mesh.errors import PermissionDenied, Unavailable
from parley.chat.v1 import chat_service_pb2 as pb
from parley.events.v1.chat_event_pb2 import ChatEvent
from tests.integration.chat_service.scaffold import World
from tests.support.polling import eventually


async def page(world: World, chat_id: str, **request: int) -> list[int]:
    answer = await world.chat.ListMessages(pb.ListMessagesRequest(user_id="bob", chat_id=chat_id, **request))
    return [message.seq for message in answer.messages]


async def test_a_page_with_a_hole_is_refused_until_the_store_has_caught_up(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 60)
    await world.stored(chat_id, 60)
    await world.redis.xtrim(keys.log(chat_id), maxlen=10, approximate=False)
    messages = world.persist.db.messages
    late = list(messages.find({"seq": {"$gt": 35, "$lte": 50}}))
    messages.delete_many({"seq": {"$gt": 35, "$lte": 50}})

    assert await page(world, chat_id, limit=9) == list(range(52, 61))
    assert await page(world, chat_id, limit=20, before_seq=36) == list(range(16, 36))
    for request in ({"limit": 20}, {"limit": 20, "before_seq": 51}, {"limit": 20, "before_seq": 45}):
        with pytest.raises(Unavailable) as refused:
            await page(world, chat_id, **request)
        assert refused.value.retry_after_ms == 1_000
    messages.insert_many(late)
    assert await page(world, chat_id, limit=20) == list(range(41, 61))
    assert await page(world, chat_id, limit=20, before_seq=45) == list(range(25, 45))


async def test_changes_voids_and_lost_logs_are_no_holes(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 3)
    for number in range(3):
        await world.chat.AddMembers(
            pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=[f"member-{number}"])
        )
    await world.fill(chat_id, 2)
    await world.stored(chat_id, 8)
    db = world.persist.db
    # The place of a message that turned out to be a repeat.
    db.messages.delete_one({"seq": 2})
    (change,) = db.changes.find({"seq": 4})
    void = {"seq": 2, "number": 2, "type": "void"}
    place = ChatEvent(chat_id=chat_id, epoch=1, seq=2, number=2)
    db.changes.insert_one({**change, **void, "_id": chat_id, "event": place.SerializeToString()})
    await world.forget_recent(chat_id)
    for limit in (1, 2, 3, 4, 10):
        assert await page(world, chat_id, limit=limit) == [1, 3, 7, 8][-limit:]
        assert await page(world, chat_id, limit=limit, before_seq=6) == [1, 3][-limit:]

    await world.redis.flushall()
    base = 8 + 2**20
    assert await page(world, chat_id) == [1, 3, 7, 8]
    await world.fill(chat_id, 2)
    await eventually(lambda: db.messages.count_documents({}) == 6)
    await world.forget_recent(chat_id)
    assert await page(world, chat_id) == [1, 3, 7, 8, base + 1, base + 2]
    assert await page(world, chat_id, limit=3) == [8, base + 1, base + 2]
    assert await page(world, chat_id, limit=3, before_seq=base + 2) == [7, 8, base + 1]


async def seen(world: World, chat_id: str, user_id: str) -> tuple[list[str], list[str], str, int]:
    """What a member reads in the history and by a resume, its latest message, and what is unread."""
    answer = await world.chat.ListMessages(pb.ListMessagesRequest(user_id=user_id, chat_id=chat_id))
    (piece,) = await world.read((chat_id, 1, 0), user_id=user_id)
    resumed = [event.message.content for event in piece.entries if event.HasField("message")]
    chat = (await world.chat.GetChat(pb.GetChatRequest(user_id=user_id, chat_id=chat_id))).chat
    return [one.content for one in answer.messages], resumed, chat.latest_message.text, chat.unread


async def test_a_member_reads_the_whole_chat_and_nobody_else_any_of_it(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    add = pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=["carol"])
    await world.send(chat_id, content="first", user_id="alice")
    await world.chat.AddMembers(add)
    assert await seen(world, chat_id, "carol") == (["first"], ["first"], "first", 0)
    await world.chat.RemoveMember(pb.RemoveMemberRequest(user_id="alice", chat_id=chat_id, member_id="carol"))
    await world.send(chat_id, content="second", user_id="alice")
    with pytest.raises(PermissionDenied):
        await world.chat.ListMessages(pb.ListMessagesRequest(user_id="carol", chat_id=chat_id))
    with pytest.raises(PermissionDenied):
        await world.chat.GetChat(pb.GetChatRequest(user_id="carol", chat_id=chat_id))
    await world.chat.AddMembers(add)
    both = ["first", "second"]
    assert await seen(world, chat_id, "carol") == (both, both, "second", 0)
