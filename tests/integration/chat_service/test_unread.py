"""Nothing is unread to who joins, however it is asked, also when the store lags or the user comes back."""

from chat_service.adapters.redis import keys
from parley.chat.v1 import chat_service_pb2 as pb
from parley.events.v1.user_event_pb2 import UserEvent
from tests.integration.chat_service.scaffold import World
from tests.support.polling import eventually


async def add(world: World, chat_id: str, user_id: str) -> int:
    """Adds a member; the unread count that its own channel tells."""
    async with world.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.user_channel(user_id))
        await world.chat.AddMembers(
            pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=[user_id])
        )
        async for item in pubsub.listen():
            if item["type"] == "message":
                return UserEvent.FromString(item["data"]).chat_added.chat.unread
    raise AssertionError


async def unread(world: World, chat_id: str, user_id: str) -> tuple[int, int]:
    """As a join says, and as the list does."""
    joined = await world.chat.JoinChats(pb.JoinChatsRequest(user_id=user_id, chat_ids=[chat_id]))
    listed = await world.chat.ListChats(pb.ListChatsRequest(user_id=user_id))
    return joined.results[0].head.unread, next(c.unread for c in listed.chats if c.id == chat_id)


async def test_nothing_is_unread_to_who_joins_while_the_store_lags(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 60)
    await world.stored(chat_id, 60)
    # As if the store had nothing of it yet when it is told of the new member.
    chats = world.persist.db.chats
    chats.update_many({}, {"$set": {"lastNumber": 0, "lastSeq": 0}})
    assert await add(world, chat_id, "carol") == 0
    assert await unread(world, chat_id, "carol") == (0, 0)
    await world.stored(chat_id, 61)
    await world.redis.delete(keys.read(chat_id), keys.members(chat_id))
    assert await unread(world, chat_id, "carol") == (0, 0)
    await world.fill(chat_id, 2)
    assert await unread(world, chat_id, "carol") == (2, 2)
    # Nor did carol read what was said before.
    history = await world.chat.ListMessages(pb.ListMessagesRequest(user_id="alice", chat_id=chat_id))
    assert "carol" not in {receipt.user_id for m in history.messages for receipt in m.read_by}


async def test_pointers_of_an_earlier_membership_end_with_it(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.fill(chat_id, 5)
    await world.chat.MarkRead(pb.MarkReadRequest(user_id="bob", chat_id=chat_id))
    await world.chat.RemoveMember(pb.RemoveMemberRequest(user_id="alice", chat_id=chat_id, member_id="bob"))
    assert await world.redis.hget(keys.read(chat_id), "bob") is None
    await world.fill(chat_id, 10)
    assert await add(world, chat_id, "bob") == 0
    assert await unread(world, chat_id, "bob") == (0, 0)
    await world.stored(chat_id, 17)
    memberships = world.persist.db.memberships
    await eventually(lambda: memberships.count_documents({"userId": "bob", "readNumber": 15}) == 1)
