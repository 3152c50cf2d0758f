"""What comes through `message-persist` is stored once, whatever order and company it comes in."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mesh.amqp.deliveries import REASON_HEADER
from mesh.amqp.topology import MESSAGE_PERSIST, dead_queue
from mesh.ids import new_object_id
from parley.common.v1.message_pb2 import MessageType
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.jobs_pb2 import PersistBatch
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log, batches
from tests.support.polling import eventually

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

    from tests.integration.persist_service.conftest import Service

DEAD = dead_queue(MESSAGE_PERSIST)


async def test_a_message_is_stored_with_the_documented_fields(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    event = log.message(content="hello")
    await service.publish(event)
    await service.stored(log.chat_id, 1)

    [stored] = service.db.messages.find()
    assert str(stored.pop("_id")) == event.message.id
    assert str(stored.pop("chatId")) == log.chat_id
    assert stored.pop("createdAt").timestamp() >= 0
    assert stored == {
        "seq": 1,
        "number": 1,
        "epoch": 1,
        "senderId": "alice",
        "type": "text",
        "content": "hello",
        "clientMsgId": "1-1",
    }
    [message] = await service.history(log.chat_id)
    expected = event.message
    expected.seq, expected.number = 1, 1
    assert message == expected


async def test_mentions_are_stored_and_a_repeat_has_the_same(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    first = log.message(client_msg_id="same", content="@bob", mentions=["bob", "zoë"])
    again = log.message(client_msg_id="same", content="@bob", mentions=["bob", "zoë"])
    other = log.message(client_msg_id="same", content="@bob", mentions=["bob"])
    crowd = log.message(mentions=[f"u{n}" for n in range(51)])
    await service.publish(first, again, other, crowd)
    dead = await service.taken(DEAD, 2)
    assert {PersistBatch.FromString(one.body).events[0].seq for one in dead} == {other.seq, crowd.seq}
    [stored] = service.db.messages.find()
    assert stored["mentions"] == ["bob", "zoë"]
    [shown] = await service.history(log.chat_id)
    assert (shown.id, list(shown.mentions)) == (first.message.id, ["bob", "zoë"])
    assert list((await service.hook_events(1))[0].message.mentions) == ["bob", "zoë"]


async def test_a_batch_that_comes_again_changes_nothing(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    batch = [*log.messages(5), log.change(), *log.messages(5, "bob")]
    for _ in range(3):
        await service.publish(*batch)
    last = log.message()
    await service.publish(last)
    await service.stored(log.chat_id, last.seq)
    assert service.db.messages.count_documents({}) == 11
    assert service.db.changes.count_documents({}) == 1
    assert [message.seq for message in await service.history(log.chat_id)] == [
        12,
        11,
        10,
        9,
        8,
        7,
        5,
        4,
        3,
        2,
        1,
    ]


async def test_a_send_under_another_id_is_the_same_message(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    first = log.message(client_msg_id="same")
    again = log.message(client_msg_id="same")
    of_bob = log.message("bob", client_msg_id="same")
    await service.publish(first, again, of_bob)
    await service.stored(log.chat_id, 3)
    assert [message.id for message in await service.history(log.chat_id)] == [
        of_bob.message.id,
        first.message.id,
    ]


async def test_a_position_that_another_message_holds_is_a_conflict(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    first = log.message()
    await service.publish(first)
    await service.stored(log.chat_id, 1)

    rival = ChatEvent()
    rival.CopyFrom(first)
    rival.id = rival.message.id = new_object_id()
    await service.publish(rival, log.message())
    await service.stored(log.chat_id, 2)
    [dead] = await service.taken(DEAD, 1)
    assert PersistBatch.FromString(dead.body).events[0].message.id == rival.message.id
    assert "position 1" in str(dead.headers[REASON_HEADER])
    assert [message.id for message in await service.history(log.chat_id)] == [
        log.sent[1].message.id,
        first.message.id,
    ]


async def test_poison_dies_alone_among_good_neighbours(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    good = log.messages(3)
    poison = {
        "chat_id": Log("nonsense").change(),
        "id": ChatEvent(chat_id=log.chat_id, seq=90, epoch=1, number=1),
        "seq": Log(log.chat_id, seq=2**63 - 1).change(),
        "message.type": Log(log.chat_id, seq=92).message(type=MessageType.MESSAGE_TYPE_UNSPECIFIED),
        "client_msg_id": Log(log.chat_id, seq=93).message(client_msg_id=""),
        "message.id": Log(log.chat_id, seq=94).message(id="1"),
    }
    mixed = [*good[:2], *poison.values(), good[2]]
    await service.publish(*mixed)
    await service.broker.publish(MESSAGE_PERSIST, b"\xff not a protobuf")
    await service.broker.publish(MESSAGE_PERSIST, b"")
    last = log.message()
    await service.publish(last)

    await service.stored(log.chat_id, last.seq)
    dead = await service.taken(DEAD, len(poison) + 2)
    reasons = sorted(str(message.headers[REASON_HEADER]) for message in dead)
    for word in poison:
        assert any(word in reason for reason in reasons), (word, reasons)
    assert sum(reason.startswith("malformed") for reason in reasons) == 2
    assert [message.seq for message in await service.history(log.chat_id)] == [4, 3, 2, 1]


def of_later_release(log: Log) -> ChatEvent:
    """An entry of a kind that this release does not know: field 200."""
    place = log.change()
    place.ClearField("member_removed")
    return ChatEvent.FromString(place.SerializeToString() + b"\xc2\x0c\x02\x08\x01")


async def test_an_event_of_any_kind_with_a_position_is_stored_and_passed_on_as_it_came(
    service: Service,
) -> None:
    log = Log((await service.group("alice", "bob")).id)
    first, later, odd, empty, last = (
        log.message(),
        of_later_release(log),
        log.change(),
        log.change(),
        log.message("bob"),
    )
    odd.typing.user_id = "alice"  # told until now, and logged by whoever sent this
    empty.ClearField("member_removed")
    for _ in range(2):
        await service.publish(first, later, odd, empty, last)
    await service.stored(log.chat_id, last.seq)
    assert await service.hook_events(5) == [first, later, odd, empty, last]
    await eventually(lambda: service.db.changes.count_documents({}) == 3)
    found = await service.stub.ListEntries(pb.ListEntriesRequest(chat_id=log.chat_id, limit=10))
    assert [entry.SerializeToString() for entry in found.entries] == [
        event.SerializeToString() for event in (first, later, odd, empty, last)
    ]
    assert (await service.chats("bob"))[log.chat_id].last_number == 2
    [dead] = await dead_after(
        service, ChatEvent(chat_id=log.chat_id, id=new_object_id(), message=last.message)
    )
    assert "seq is not within" in str(dead.headers[REASON_HEADER])


async def test_a_message_of_a_type_that_only_a_later_release_knows_is_stored_with_it(
    service: Service,
) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    later = log.message(type=17, client_msg_id="same")
    again = log.message(type=17, client_msg_id="same")
    again.message.content = later.message.content
    await service.publish(later, again)
    await service.stored(log.chat_id, 2)
    [stored] = service.db.messages.find()
    [shown] = await service.history(log.chat_id)
    assert (stored["type"], shown.type) == (17, 17)
    [chat] = (await service.stub.GetChats(pb.GetChatsRequest(chat_ids=[log.chat_id]))).chats
    assert chat.latest_message.type == 17


async def test_an_event_with_the_same_position_and_id_is_a_repeat_whatever_it_holds(
    service: Service,
) -> None:
    log = Log((await service.group("alice", "bob")).id)
    removal = log.change("carol")
    await service.publish(removal)
    await service.stored(log.chat_id, 1)
    scrubbed = ChatEvent()
    scrubbed.CopyFrom(removal)
    scrubbed.member_removed.user_id = scrubbed.member_removed.actor_id = ""
    other, elsewhere = ChatEvent(), ChatEvent()
    other.CopyFrom(removal)
    other.id = new_object_id()
    elsewhere.CopyFrom(removal)
    elsewhere.seq = 9
    await service.publish(scrubbed)
    dead = await dead_after(service, other, elsewhere)
    assert sorted(str(one.headers[REASON_HEADER]) for one in dead) == [
        f"event {removal.id} is stored at another position",
        f"position 1 of chat {log.chat_id} holds another event",
    ]
    [stored, void] = service.db.changes.find().sort("seq")
    assert stored["event"] == removal.SerializeToString()
    assert (void["seq"], void["type"]) == (9, "void")


async def dead_after(service: Service, *events: ChatEvent) -> list[AbstractIncomingMessage]:
    """Publishes what is to be dead-lettered, and takes it."""
    await service.publish(*events)
    return await service.taken(DEAD, len(events))


async def test_the_latest_message_only_goes_forward(service: Service) -> None:
    log = Log((await service.group("alice", "bob")).id)
    events = [log.message() if n % 7 else log.change() for n in range(1, 301)]
    shuffled = events + random.Random(7).sample(events, 100)
    random.Random(8).shuffle(shuffled)
    await service.broker.publish_many(list(batches(shuffled, 9)))
    end = log.message(content="x" * 300)
    for event in (end, *events[:20]):
        await service.publish(event)
    head = await service.stored(log.chat_id, end.seq)
    assert (head.epoch, head.seq, head.number) == (1, end.seq, end.number)

    def all_stored() -> bool:
        return (
            service.db.messages.count_documents({}) + service.db.changes.count_documents({})
            == len(events) + 1
        )

    await eventually(all_stored)
    [chat] = (await service.stub.GetChats(pb.GetChatsRequest(chat_ids=[log.chat_id]))).chats
    assert (chat.seq, chat.latest_message.seq) == (end.seq, end.seq)
    assert chat.latest_message.text == "x" * 200
    assert chat.updated_at_ms >= end.occurred_at_ms
