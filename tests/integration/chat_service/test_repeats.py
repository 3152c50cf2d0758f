"""The same clientMsgId gets the first answer, after any restart and also of an emptied Redis."""

import asyncio

from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.chat_service.scaffold import World, chat_service, send_item
from tests.support.polling import eventually


async def test_a_repeat_outlives_a_restart_of_chat_service(world: World) -> None:
    chat_id = await world.direct()
    first = (await world.send(chat_id, "once", "hello")).accepted
    async with chat_service(world.servers, f"127.0.0.1:{world.persist.port}") as (another, _):
        item = send_item(chat_id, "once")
        answer = await another.SendMessages(pb.SendMessagesRequest(items=[item]))
    again = answer.results[0].accepted
    assert (again.duplicate, again.message_id, again.seq) == (True, first.message_id, first.seq)


async def test_a_repeat_outlives_an_emptied_redis(world: World) -> None:
    chat_id = await world.direct()
    first = (await world.send(chat_id, "once", "hello")).accepted
    await world.stored(chat_id, first.seq)
    await world.redis.flushall()
    for _ in range(2):
        again = (await world.send(chat_id, "once", "hello")).accepted
        assert again == pb.SendAccepted(
            message_id=first.message_id,
            chat_id=chat_id,
            seq=first.seq,
            number=first.number,
            created_at_ms=first.created_at_ms,
            duplicate=True,
            epoch=1,
        )
    # Another sender's key is another key, and new messages are new.
    other = (await world.send(chat_id, "once", "hello", user_id="bob")).accepted
    assert (other.duplicate, other.epoch, other.seq) == (False, 2, 1 + 2**20 + 1)


async def test_other_content_is_a_conflict_also_when_only_the_store_knows(world: World) -> None:
    chat_id = await world.direct()
    await world.send(chat_id, "once", "hello")
    await world.stored(chat_id, 1)
    await world.redis.flushall()
    refused = await world.send(chat_id, "once", "goodbye")
    assert refused.error.reason == ErrorReason.ERROR_REASON_DUPLICATE_CONFLICT
    (found,) = await world.read((chat_id, 0, 2**20 + 1))
    assert (list(found.entries), found.head.seq) == ([], 2**20 + 1)


async def test_mentions_are_part_of_what_is_repeated(world: World) -> None:
    chat_id = await world.direct()
    first = (await world.send(chat_id, "once", "hello", mentions=["bob", "zoë"])).accepted
    await world.stored(chat_id, first.seq)
    for _ in range(2):  # what Redis remembers, and then what the store has
        again = await world.send(chat_id, "once", "hello", mentions=["bob", "zoë"])
        assert (again.accepted.message_id, again.accepted.duplicate) == (first.message_id, True)
        for other in ((), ("bob",), ("zoë", "bob")):
            refused = await world.send(chat_id, "once", "hello", mentions=other)
            assert refused.error.reason == ErrorReason.ERROR_REASON_DUPLICATE_CONFLICT
        request = pb.ListMessagesRequest(user_id="bob", chat_id=chat_id)
        (shown,) = (await world.chat.ListMessages(request)).messages
        assert list(shown.mentions) == ["bob", "zoë"]
        await world.redis.flushall()


async def test_a_batch_of_new_and_repeated_sends_after_a_loss_keeps_its_order(world: World) -> None:
    chat_id = await world.direct()
    for key in ("a", "b", "c"):
        await world.send(chat_id, key, key)
    await world.stored(chat_id, 3)
    await world.redis.flushall()
    items = [send_item(chat_id, key, key) for key in ("x", "b", "y", "x", "c", "z")]
    results = (await world.chat.SendMessages(pb.SendMessagesRequest(items=items))).results
    base = 3 + 2**20
    assert [(r.accepted.seq, r.accepted.duplicate) for r in results] == [
        (base + 1, False),
        (2, True),
        (base + 2, False),
        (base + 1, True),
        (3, True),
        (base + 3, False),
    ]


async def test_concurrent_repeats_after_a_loss_are_one_message(world: World) -> None:
    chat_id = await world.direct()
    await world.fill(chat_id, 1)
    await world.stored(chat_id, 1)
    await world.redis.flushall()
    answers = await asyncio.gather(*(world.send(chat_id, "once", "hello") for _ in range(8)))
    assert len({answer.accepted.message_id for answer in answers}) == 1
    assert sum(not answer.accepted.duplicate for answer in answers) == 1
    await eventually(lambda: world.persist.db.messages.count_documents({}) == 2)


async def test_without_the_store_a_rebuilt_log_takes_nothing(world: World) -> None:
    chat_id = await world.direct()
    await world.fill(chat_id, 1)
    await world.stored(chat_id, 1)
    async with chat_service(world.servers, "127.0.0.1:1") as (cut_off, _):
        item = send_item(chat_id, "once")

        async def outcome() -> pb.SendResult:
            return (await cut_off.SendMessages(pb.SendMessagesRequest(items=[item]))).results[0]

        assert (await outcome()).HasField("accepted")
        await world.redis.flushall()
        assert (await outcome()).error.reason == ErrorReason.ERROR_REASON_UNAVAILABLE
        # Also when the head and the role were rebuilt by another, for only the store knows earlier sends.
        await world.send(chat_id)
        item.message.client_msg_id = "another"
        assert (await outcome()).error.reason == ErrorReason.ERROR_REASON_UNAVAILABLE


async def test_a_copy_that_was_still_on_its_way_is_stored_once_and_leaves_no_hole(world: World) -> None:
    """Redis is lost while the queue has entries: the one case in which a message is delivered twice."""
    chat_id = await world.direct()
    await world.fill(chat_id, 1)
    messages, changes = world.persist.db.messages, world.persist.db.changes
    first = (await world.send(chat_id, "once", "hello")).accepted
    await world.stored(chat_id, 2)
    (page,) = await world.read((chat_id, 1, 1))
    (late,) = page.entries
    assert late.message.id == first.message_id
    # As if it still stood in the queue when Redis was lost.
    messages.delete_one({"clientMsgId": "once"})
    await world.redis.flushall()
    again = (await world.send(chat_id, "once", "hello")).accepted
    assert (again.duplicate, again.seq) == (False, 2 + 2**20 + 1)
    await eventually(lambda: messages.count_documents({"clientMsgId": "once"}) == 1)

    await world.persist.publish(late)
    await eventually(lambda: changes.count_documents({"type": "void", "seq": 2}) == 1)
    (kept,) = messages.find({"clientMsgId": "once"})
    assert str(kept["_id"]) == again.message_id
    # From now on there is one answer.
    await world.redis.flushall()
    settled = (await world.send(chat_id, "once", "hello")).accepted
    assert (settled.duplicate, settled.message_id, settled.seq) == (True, again.message_id, again.seq)


async def test_a_redis_that_comes_back_older_gives_no_position_twice(world: World) -> None:
    """As after a failover to a replica that lagged, or a file that lacks the last second."""
    chat_id = await world.direct()
    await world.fill(chat_id, 3)
    old = {key: await world.redis.dump(key) for key in await world.redis.keys("chat:*")}
    lost = [(await world.send(chat_id, f"lost-{number}", "hello")).accepted for number in range(3)]
    await world.stored(chat_id, 6)
    await world.redis.flushall()
    for key, value in old.items():
        await world.redis.restore(key, 0, value or b"")

    again = (await world.send(chat_id, "lost-1", "hello")).accepted
    assert (again.duplicate, again.message_id) == (True, lost[1].message_id)
    after = (await world.send(chat_id, "new", "hello")).accepted
    assert (after.epoch, after.seq) == (2, 6 + 2**20 + 1)
    await eventually(lambda: world.persist.db.messages.count_documents({}) == 7)
    (found,) = await world.read((chat_id, 1, 6))
    assert (found.reset, [entry.seq for entry in found.entries]) == (True, [after.seq])
    page = await world.chat.ListMessages(pb.ListMessagesRequest(user_id="bob", chat_id=chat_id, limit=5))
    assert [message.client_msg_id for message in page.messages[1:]] == ["lost-0", "lost-1", "lost-2", "new"]


async def test_a_redis_that_comes_back_older_gives_no_rights_back(world: World) -> None:
    chat_id = await world.group("alice", "bob", "eve")
    assert (await world.send(chat_id, user_id="eve")).HasField("accepted")
    old = {key: await world.redis.dump(key) for key in await world.redis.keys("chat:*")}
    await world.chat.RemoveMember(pb.RemoveMemberRequest(user_id="alice", chat_id=chat_id, member_id="eve"))
    await world.fill(chat_id, 2)
    await world.redis.flushall()
    for key, value in old.items():
        await world.redis.restore(key, 0, value or b"")

    await world.fill(chat_id, 1)
    assert (await world.send(chat_id, user_id="eve")).error.reason == ErrorReason.ERROR_REASON_NOT_A_MEMBER
