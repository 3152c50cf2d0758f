"""What a stored message sets off: notifications, search terms, counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bson import ObjectId
from redis import Redis

from mesh.amqp.topology import ANALYTICS, MESSAGE_INDEX
from parley.common.v1.message_pb2 import MessageType
from parley.events.v1.jobs_pb2 import AnalyticsBatch, IndexBatch, MessageFact, NotificationType
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log, holds

if TYPE_CHECKING:
    from tests.integration.persist_service.conftest import Servers, Service

DAY = 86_400_000


async def test_only_absent_members_are_notified(service: Service, servers: Servers) -> None:
    chat = await service.group("alice", "bob", "carol", "dave", name="friends")
    await service.stub.UpsertUser(pb.UpsertUserRequest(user_id="alice", name="Alice A."))
    with Redis.from_url(servers.redis_url) as redis:
        redis.set("user:{bob}:online", "1", ex=300)
    log = Log(chat.id)
    await service.publish(log.message(content="who is there?"))
    found = await service.notifications(2)
    assert sorted(notification.user_id for notification in found) == ["carol", "dave"]
    for notification in found:
        assert notification.type == NotificationType.NOTIFICATION_TYPE_GROUP_MESSAGE
        assert (notification.sender_id, notification.sender_name) == ("alice", "Alice A.")
        assert (notification.chat_id, notification.chat_name) == (chat.id, "friends")
        assert (notification.message.content, notification.message.seq) == ("who is there?", 1)


async def test_members_beyond_the_listed_ones_are_notified_too(service: Service) -> None:
    chat = await service.group("alice", "bob")
    users = [f"user-{n}" for n in range(200)]
    for start in (0, 100):
        await service.stub.AddMembers(
            pb.AddMembersRequest(chat_id=chat.id, member_ids=users[start : start + 100])
        )
    await service.publish(Log(chat.id).message("user-150"))
    found = await service.notifications(201)
    assert {notification.user_id for notification in found} == {"alice", "bob", *users} - {"user-150"}


async def test_members_are_notified_of_a_group_whose_making_broke_off(service: Service) -> None:
    chat = await service.group("alice", "bob")
    # What a kill between the memberships and the list of them leaves behind.
    unlisted = {"members": [], "users": [], "memberCount": 0, "membersVersion": 0}
    service.db.chats.update_one({"_id": ObjectId(chat.id)}, {"$set": unlisted})
    await service.publish(Log(chat.id).message("alice"))
    assert [notification.user_id for notification in await service.notifications(1)] == ["bob"]


async def test_words_become_terms_once(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    text = log.message(content="Grüße, GRÜSSE! Ünï-code 東京 2026")
    picture = log.message(type=MessageType.MESSAGE_TYPE_IMAGE, content="https://example.org/picture")
    await service.publish(text, picture)
    await holds(lambda: service.db.terms.count_documents({}) == 1)
    again = text.message
    again.seq, again.number = text.seq, text.number
    await service.broker.publish(MESSAGE_INDEX, IndexBatch(messages=[again, again]).SerializeToString())
    await service.publish(log.message(content="end"))
    await holds(lambda: service.db.terms.count_documents({}) == 2)
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

    await holds(lambda: sum(counted().values()) == len(facts))
    day = datetime.fromtimestamp(midnight / 1000, UTC).replace(tzinfo=None)
    assert sorted(counted().values()) == [10, 1_490]
    assert counted()[day] == 1_490
    assert service.db.statistics.count_documents({}) == 3
