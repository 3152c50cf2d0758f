"""What a stored message sets off: notifications, search terms, counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bson import ObjectId
from redis import Redis

from mesh.amqp.topology import ANALYTICS, MESSAGE_INDEX, MESSAGE_READ
from mesh.clock import now_ms
from parley.common.v1.message_pb2 import MessageType
from parley.events.v1.jobs_pb2 import (
    AnalyticsBatch,
    IndexBatch,
    MessageFact,
    NotificationType,
    Pointer,
    PointerBatch,
)
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.persist_service.conftest import Servers, Service

DAY = 86_400_000


async def test_all_others_are_named_with_their_last_activity(service: Service, servers: Servers) -> None:
    chat = await service.group("alice", "bob", "carol", "dave", name="friends")
    await service.stub.UpsertUser(pb.UpsertUserRequest(user_id="alice", name="Alice A."))
    before = now_ms()
    with Redis.from_url(servers.redis_url) as redis:
        redis.set("user:{bob}:online", "1790000000123p", ex=300)
        redis.set("user:{dave}:online", "1", ex=300)  # as releases wrote it that knew no activity
    log = Log(chat.id)
    await service.publish(log.message(content="who is there?"))
    [news], [read] = await service.notifications(recipients=3, reads=1)
    assert news.type == NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE
    assert (news.sender_name, news.chat_name) == ("Alice A.", "friends")
    assert (news.message.content, news.message.seq, news.message.number) == ("who is there?", 1, 1)
    active = {one.user_id: one.last_active_ms for one in news.recipients}
    assert active.pop("dave") >= before
    assert active == {"bob": 1_790_000_000_123, "carol": 0}
    assert [one.user_id for one in news.recipients if one.partial] == ["bob"]
    assert (read.chat_id, read.user_id, read.seq) == (chat.id, "alice", 1)


async def test_each_message_of_a_large_group_names_its_members_in_pages(service: Service) -> None:
    chat = await service.group("alice", "bob")
    users = [f"user-{n}" for n in range(600)]
    for start in range(0, len(users), 100):
        await service.stub.AddMembers(
            pb.AddMembersRequest(chat_id=chat.id, member_ids=users[start : start + 100])
        )
    log = Log(chat.id)
    await service.publish(log.message("user-150"), log.message("alice"))
    news, read = await service.notifications(recipients=2 * 601, reads=2)
    everybody = {"alice", "bob", *users}
    for event, sender in zip(log.sent, ("user-150", "alice"), strict=True):
        pages = [one for one in news if one.message.id == event.message.id]
        assert len(pages) == 2
        named = [recipient.user_id for page in pages for recipient in page.recipients]
        assert len(named) == len(set(named))
        assert set(named) == everybody - {sender}
    assert {(one.user_id, one.seq) for one in read} == {("user-150", 1), ("alice", 2)}


async def test_members_are_notified_of_a_group_whose_making_broke_off(service: Service) -> None:
    chat = await service.group("alice", "bob")
    # What a kill between the memberships and the list of them leaves behind.
    unlisted = {"members": [], "memberCount": 0, "membersVersion": 0}
    service.db.chats.update_one({"_id": ObjectId(chat.id)}, {"$set": unlisted})
    await service.publish(Log(chat.id).message("alice"))
    [news], _ = await service.notifications(recipients=1, reads=1)
    assert [one.user_id for one in news.recipients] == ["bob"]


async def test_a_burst_is_told_in_few_messages_and_read_once_per_sender(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    events = [log.message("alice" if n % 3 else "bob") for n in range(60)]
    await service.publish(*events)
    news, read = await service.notifications(recipients=60, reads=2)
    assert [one.message.seq for one in news] == list(range(1, 61))
    for one in news:
        assert {one.message.sender_id, one.recipients[0].user_id} == {"alice", "bob"}
    last = {event.message.sender_id: event.seq for event in events}
    assert {one.user_id: one.seq for one in read} == last


async def test_who_reads_is_told_also_when_the_news_comes_again(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    moves = [
        Pointer(chat_id=chat.id, user_id="bob", read_seq=4, read_number=4, at_ms=1),
        Pointer(chat_id=chat.id, user_id="bob", read_seq=7, read_number=7, at_ms=2),
        Pointer(chat_id=chat.id, user_id="alice", delivered_seq=7, at_ms=2),
    ]
    for _ in range(2):
        await service.broker.publish(MESSAGE_READ, PointerBatch(pointers=moves).SerializeToString())
        _, [read] = await service.notifications(recipients=0, reads=1)
        assert (read.chat_id, read.user_id, read.seq) == (chat.id, "bob", 7)


async def test_integrators_are_told_of_every_stored_entry(service: Service) -> None:
    log = Log((await service.group("alice", "bob", "carol")).id)
    removal = log.change("carol")
    first = log.message(client_msg_id="same")
    again = log.message(client_msg_id="same")  # stored under its first position alone
    last = log.message("bob")
    await service.publish(removal, first, again, last)
    assert await service.hook_events(3) == [removal, first, last]


async def test_words_become_terms_once(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    text = log.message(content="Grüße, GRÜSSE! Ünï-code 東京 2026")
    picture = log.message(type=MessageType.MESSAGE_TYPE_IMAGE, content="https://example.org/picture")
    await service.publish(text, picture)
    await eventually(lambda: service.db.terms.count_documents({}) == 1)
    again = text.message
    again.seq, again.number = text.seq, text.number
    await service.broker.publish(MESSAGE_INDEX, IndexBatch(messages=[again, again]).SerializeToString())
    await service.publish(log.message(content="end"))
    await eventually(lambda: service.db.terms.count_documents({}) == 2)
    [found] = service.db.terms.find({"seq": 1})
    assert str(found["_id"]) == text.message.id
    assert found["terms"] == ["grüsse", "ünï", "code", "東京", "2026"]


async def test_each_message_is_counted_once(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    midnight = 1_790_000_000_000 // DAY * DAY
    facts = [
        MessageFact(
            chat_id=chat.id,
            seq=seq,
            sender_id="alice",
            type=MessageType.MESSAGE_TYPE_TEXT,
            created_at_ms=midnight - 1 if seq <= 10 else midnight,
        )
        for seq in range(1, 1_501)
    ]
    for start in range(0, len(facts), 50):
        batch = AnalyticsBatch(facts=facts[start : start + 64])  # overlaps the next one
        for _ in range(2):
            await service.broker.publish(ANALYTICS, batch.SerializeToString())

    def counted() -> dict[datetime, int]:
        days: dict[datetime, int] = {}
        for block in service.db.statistics.find():
            days[block["day"]] = days.get(block["day"], 0) + block["messages"]
        return days

    await eventually(lambda: sum(counted().values()) == len(facts))
    day = datetime.fromtimestamp(midnight / 1000, UTC).replace(tzinfo=None)
    assert sorted(counted().values()) == [10, 1_490]
    assert counted()[day] == 1_490
    assert service.db.statistics.count_documents({}) == 3
