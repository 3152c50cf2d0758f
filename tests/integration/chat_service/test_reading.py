"""Who sends has read, as far as the send says; and the others are told."""

from collections.abc import AsyncIterator

import pytest

from chat_service.adapters.redis import keys
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ERROR_REASON_UNAVAILABLE
from parley.events.v1.chat_event_pb2 import ChatEvent, Read
from tests.integration.chat_service.scaffold import World, send_item
from tests.support.polling import eventually


async def send(world: World, chat_id: str, user_id: str, read_seq: int | None = None) -> pb.SendAccepted:
    world.sent += 1
    item = send_item(chat_id, f"key-{world.sent}", user_id=user_id, read_seq=read_seq)
    (result,) = (await world.chat.SendMessages(pb.SendMessagesRequest(items=[item]))).results
    assert result.HasField("accepted"), result
    return result.accepted


async def unread(world: World, chat_id: str, user_id: str) -> int:
    answer = await world.chat.JoinChats(pb.JoinChatsRequest(user_id=user_id, chat_ids=[chat_id]))
    return answer.results[0].head.unread


async def reads_until(world: World, chat_id: str, last: str) -> AsyncIterator[Read]:
    """What is told of readings until a message of that user."""
    async with world.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.channel(chat_id))
        async for item in pubsub.listen():
            if item["type"] == "subscribe":
                yield Read()
                continue
            event = ChatEvent.FromString(item["data"])
            if event.HasField("read"):
                yield event.read
            if event.message.sender_id == last:
                return


@pytest.mark.parametrize(
    ("read_seq", "left", "told"),
    [
        (None, 0, [("bob", 4)]),
        (0, 4, []),
        (2, 2, [("bob", 2)]),
        (1_000, 0, [("bob", 4)]),
    ],
    ids=["the message", "nothing", "a position", "beyond the head"],
)
async def test_a_send_reads_what_it_says_and_the_chat_is_told(
    world: World, read_seq: int | None, left: int, told: list[tuple[str, int]]
) -> None:
    chat_id = await world.group("alice", "bob", "carol")
    for _ in range(3):
        await send(world, chat_id, "alice")
    found = reads_until(world, chat_id, "carol")
    await anext(found)
    await send(world, chat_id, "bob", read_seq)
    await send(world, chat_id, "carol", 0)
    assert [(read.user_id, read.seq) async for read in found] == told
    assert await unread(world, chat_id, "bob") == left + 1  # and carol's

    # The store comes to the same, whatever Redis forgets.
    await world.stored(chat_id, 5)
    read = {None: 4, 0: 0, 2: 2, 1_000: 4}[read_seq]
    memberships = world.persist.db.memberships
    await eventually(lambda: memberships.count_documents({"userId": "bob", "readNumber": read}) == 1)
    await world.redis.delete(keys.read(chat_id))
    assert await unread(world, chat_id, "bob") == left + 1


async def test_who_only_writes_on_reads_nothing_new(world: World) -> None:
    chat_id = await world.direct()
    found = reads_until(world, chat_id, "bob")
    await anext(found)
    for _ in range(3):
        await send(world, chat_id, "alice")
    await send(world, chat_id, "bob", 0)
    assert [read async for read in found] == []


async def test_a_position_right_before_what_is_kept_is_known_and_an_older_one_moves_nothing(
    world: World,
) -> None:
    chat_id = await world.direct()
    for _ in range(6):
        await send(world, chat_id, "alice")
    await world.forget_recent(chat_id)
    await send(world, chat_id, "bob", 5)
    assert await unread(world, chat_id, "bob") == 7
    await send(world, chat_id, "bob", 6)
    assert await unread(world, chat_id, "bob") == 2


async def test_a_message_that_redis_may_have_taken_is_to_be_sent_again(world: World) -> None:
    chat_id = await world.direct()
    await world.redis.rename(keys.head(chat_id), "aside")
    await world.redis.set(keys.head(chat_id), "no hash")
    refused = await world.send(chat_id, key="once")
    assert refused.error.reason == ERROR_REASON_UNAVAILABLE
    await world.redis.rename("aside", keys.head(chat_id))
    assert (await world.send(chat_id, key="once")).HasField("accepted")
