"""Paging through history: holes, epochs, numbers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bson import ObjectId

from mesh.ids import new_object_id
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log, batches, holds

if TYPE_CHECKING:
    from parley.common.v1.message_pb2 import Message
    from tests.integration.persist_service.conftest import Service


async def pages(service: Service, chat_id: str, limit: int) -> list[Message]:
    """All pages, one after the other."""
    everything: list[Message] = []
    page = await service.history(chat_id, limit)
    while page:
        assert len(page) <= limit
        everything += page
        page = await service.history(chat_id, limit, before_seq=page[-1].seq)
    return everything


async def test_pages_cross_holes_and_a_jump_between_epochs(service: Service) -> None:
    log = Log((await service.group("alice", "bob")).id)
    events = log.messages(120)
    events += [log.change() for _ in range(150)]  # a hole wider than any page
    for _ in range(40):
        events += [log.message(), log.change()]
    log.epoch, log.seq = 2, log.seq + 2**20
    events += [log.change(), *log.messages(30)]
    await service.broker.publish_many(list(batches(events, 40)))
    await holds(lambda: service.db.messages.count_documents({}) == 190)

    expected = [event.message.id for event in reversed(log.sent)]
    for limit in (7, 50, 101):
        found = await pages(service, log.chat_id, limit)
        assert [message.id for message in found] == expected, limit
    head = await service.stored(log.chat_id, log.seq)
    assert (head.epoch, head.number, head.member_count) == (2, 190, 2)


async def test_pages_by_number(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    events = log.messages(60)
    log.epoch, log.seq = 2, log.seq + 2**20
    events += [*log.messages(60), log.change()]
    await service.broker.publish_many(list(batches(events, 40)))
    await holds(lambda: service.db.messages.count_documents({}) == 120)
    for skipped in (0, 50, 100):
        page = await service.history(log.chat_id, 50, before_number=121 - skipped)
        assert [message.number for message in page] == list(range(120 - skipped, max(70 - skipped, 0), -1))
    page = await service.history(log.chat_id, 5, before_number=100, before_seq=51)
    assert [message.seq for message in page] == [50, 49, 48, 47, 46]


async def test_one_message(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    await service.publish(*log.messages(2))
    await service.stored(log.chat_id, 2)
    wanted = log.sent[0].message.id
    answer = await service.stub.GetMessage(pb.GetMessageRequest(chat_id=log.chat_id, message_id=wanted))
    assert (answer.message.id, answer.message.content) == (wanted, "message 1")


async def test_a_page_of_a_long_chat_is_quick(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    template = {"chatId": ObjectId(chat.id), "senderId": "alice", "type": "text", "content": "x"}
    count = 5_000
    service.db.messages.insert_many(
        [
            {
                **template,
                "_id": ObjectId(new_object_id()),
                "seq": n,
                "number": n,
                "clientMsgId": str(n),
                "createdAt": service.db.chats.find_one({}, {"createdAt": 1})["createdAt"] if n == 1 else None,  # type: ignore[index]  # there is one
            }
            for n in range(1, count + 1)
        ],
        ordered=False,
    )
    service.db.messages.update_many({"createdAt": None}, [{"$set": {"createdAt": "$$NOW"}}])
    started = time.perf_counter()
    page = await service.history(chat.id, 50, before_seq=count // 2)
    took = time.perf_counter() - started
    assert [message.seq for message in page] == list(range(count // 2 - 1, count // 2 - 51, -1))
    # Reading the whole chat takes a few hundred times as long here.
    assert took < 0.25, took
