"""Paging through history: holes, epochs, numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from mesh.ids import new_object_id
from mesh.mongo import Mongo
from mesh.mongo_indexes import patient_client
from parley.persist.v1 import persist_service_pb2 as pb
from persist_service.stores.indexes import INDEXES, make_indexes
from persist_service.stores.messages import Messages
from tests.integration.persist_service.conftest import Log, batches
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    await eventually(lambda: service.db.messages.count_documents({}) == 190)

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
    await eventually(lambda: service.db.messages.count_documents({}) == 120)
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


class Finds(CommandListener):
    """The filters of all queries for messages."""

    def __init__(self) -> None:
        self.filters: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command.get("find") == "messages":
            self.filters.append(event.command["filter"])

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...


async def test_a_page_of_a_long_chat_reads_a_range_about_as_long_as_the_page(
    mongo_url: str, mongo_database: str
) -> None:
    chat_id, count, limit = new_object_id(), 1_000, 50
    finds = Finds()
    client = AsyncIOMotorClient[Any](mongo_url, event_listeners=[finds], datetime_conversion="DATETIME_MS")
    try:
        mongo = Mongo(client[mongo_database], partial(patient_client, mongo_url, "test"))
        await mongo.prepare(partial(make_indexes, indexes=INDEXES))
        messages = Messages(mongo)
        await messages.insert(Log(chat_id).messages(count))
        page = await messages.before(chat_id, limit, seq=count // 2, number=0)
    finally:
        client.close()
    assert [message.seq for message in page] == list(range(count // 2 - 1, count // 2 - 1 - limit, -1))
    [read] = finds.filters  # the server may not push the limit down, so the range must be tight by itself
    assert limit <= read["seq"]["$lt"] - read["seq"]["$gte"] < 2 * limit
