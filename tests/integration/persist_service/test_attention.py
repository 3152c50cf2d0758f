"""What notify_service asks before it tells somebody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from bson import ObjectId
from redis import Redis

from mesh.amqp.topology import MESSAGE_READ
from mesh.errors import InvalidArgument
from mesh.ids import new_object_id
from parley.common.v1.chat_pb2 import Role
from parley.events.v1.jobs_pb2 import Pointer, PointerBatch
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.persist_service.conftest import Servers, Service


async def ask(
    service: Service, *pairs: tuple[str, str], messages: tuple[tuple[str, str], ...] = ()
) -> pb.GetAttentionResponse:
    return await service.stub.GetAttention(
        pb.GetAttentionRequest(
            queries=[pb.MembershipQuery(chat_id=chat, user_id=user) for chat, user in pairs],
            messages=[
                pb.MessageKey(chat_id=chat_id, message_id=message_id) for chat_id, message_id in messages
            ],
        )
    )


async def totals(service: Service, *user_ids: str) -> list[int]:
    queries = [pb.UnreadTotalQuery(user_id=user_id) for user_id in user_ids]
    return list((await service.stub.GetUnreadTotals(pb.GetUnreadTotalsRequest(queries=queries))).totals)


async def test_it_tells_what_users_did_last_where_they_receive_all_their_chats(
    service: Service, servers: Servers
) -> None:
    ada, bob, carol = (new_object_id() for _ in range(3))
    with Redis.from_url(servers.redis_url) as redis:
        redis.set(f"user:{{{ada}}}:online", "1790000000123", ex=300)
        redis.set(f"user:{{{bob}}}:online", "1790000000123p", ex=300)
    users = (carol, ada, bob, ada)
    answer = await service.stub.GetLastActive(pb.GetLastActiveRequest(user_ids=users))
    assert list(answer.last_active_ms) == [0, 1_790_000_000_123, 0, 1_790_000_000_123]
    with pytest.raises(InvalidArgument):
        await service.stub.GetLastActive(pb.GetLastActiveRequest(user_ids=["ada"] * 1_001))


async def test_it_tells_what_each_member_knows_of_each_chat(service: Service, servers: Servers) -> None:
    direct = Log((await service.direct("alice", "bob")).id)
    group = Log((await service.group("carol", "bob")).id)
    await service.publish(*direct.messages(5), *group.messages(3, "carol"))
    await service.stored(direct.chat_id, 5)
    await service.stored(group.chat_id, 3)
    with Redis.from_url(servers.redis_url) as redis:
        redis.set("user:{bob}:online", "1790000000123p", ex=300)
    moves = [
        Pointer(chat_id=direct.chat_id, user_id="bob", read_seq=2, read_number=2, at_ms=1),
        Pointer(chat_id=direct.chat_id, user_id="bob", delivered_seq=4, at_ms=1),
    ]
    await service.broker.publish(MESSAGE_READ, PointerBatch(pointers=moves).SerializeToString())

    async def moved() -> pb.Attention | None:
        [attention] = (await ask(service, (direct.chat_id, "bob"))).attentions
        return attention if attention.read_seq else None

    await eventually(moved)
    answer = await ask(
        service,
        (direct.chat_id, "bob"),
        (group.chat_id, "bob"),
        (direct.chat_id, "alice"),
        (direct.chat_id, "carol"),
        ("no chat", "bob"),
        (direct.chat_id, "bob"),
    )
    member = Role.ROLE_MEMBER
    of_bob = pb.Attention(
        role=member, read_seq=2, delivered_seq=4, unread=3, last_active_ms=1_790_000_000_123, partial=True
    )
    nothing = pb.Attention(role=Role.ROLE_NONE)
    assert list(answer.attentions) == [
        of_bob,
        pb.Attention(role=member, unread=3, last_active_ms=1_790_000_000_123, partial=True),
        pb.Attention(role=member, read_seq=5, delivered_seq=5),
        nothing,
        nothing,
        of_bob,
    ]
    assert not answer.deleted_message_ids


async def test_it_names_the_messages_that_are_no_more(service: Service) -> None:
    log = Log((await service.direct("alice", "bob")).id)
    other = await service.direct("alice", "carol")
    kept, deleted, removed, elsewhere = (event.message.id for event in log.messages(4))
    await service.publish(*log.sent)
    await service.stored(log.chat_id, 4)
    service.db.messages.update_one(
        {"_id": ObjectId(deleted)}, {"$set": {"deletedAt": datetime(2026, 1, 1, tzinfo=UTC)}}
    )
    service.db.messages.delete_one({"_id": ObjectId(removed)})
    asked = [(log.chat_id, message_id) for message_id in (kept, deleted, removed, "no id")]
    answer = await ask(service, (log.chat_id, "bob"), messages=(*asked, (other.id, elsewhere)))
    assert set(answer.deleted_message_ids) == {deleted, removed, "no id", elsewhere}


async def test_the_total_counts_all_chats_of_a_user(service: Service) -> None:
    logs = [Log((await service.direct("bob", f"peer-{n}")).id) for n in range(3)]
    await service.publish(
        *(event for n, log in enumerate(logs) for event in log.messages(n + 1, f"peer-{n}"))
    )
    for log in logs:
        await service.stored(log.chat_id, log.seq)
    assert await totals(service, "bob", "peer-0", "nobody", "bob") == [6, 0, 0, 6]
    without = [logs[1].chat_id, new_object_id(), "no id"]
    queries = [
        pb.UnreadTotalQuery(user_id="bob", without_chat_ids=without),
        pb.UnreadTotalQuery(user_id="peer-0", without_chat_ids=without),
        pb.UnreadTotalQuery(user_id="nobody"),
    ]
    answer = await service.stub.GetUnreadTotals(pb.GetUnreadTotalsRequest(queries=queries))
    assert list(answer.totals) == [4, 0, 0]


async def test_the_total_of_a_user_in_a_thousand_chats_is_quick(service: Service) -> None:
    chats = [ObjectId() for _ in range(1_000)]
    service.db.chats.insert_many({"_id": chat, "lastNumber": 7} for chat in chats)
    service.db.memberships.insert_many(
        {"chatId": chat, "userId": "bob", "readNumber": 5 if n % 2 else 9} for n, chat in enumerate(chats)
    )
    answer = await service.stub.GetUnreadTotals(
        pb.GetUnreadTotalsRequest(queries=[pb.UnreadTotalQuery(user_id="bob")])
    )
    assert list(answer.totals) == [1_000]


async def test_questions_beyond_the_limits_are_refused(service: Service) -> None:
    chat_id = new_object_id()
    for request in (
        pb.GetAttentionRequest(),
        pb.GetAttentionRequest(queries=[pb.MembershipQuery(chat_id=chat_id, user_id="bob")] * 501),
        pb.GetAttentionRequest(
            queries=[pb.MembershipQuery(chat_id=chat_id, user_id="bob")], messages=[pb.MessageKey()] * 2_001
        ),
    ):
        with pytest.raises(InvalidArgument):
            await service.stub.GetAttention(request)
    bob = pb.UnreadTotalQuery(user_id="bob", without_chat_ids=[chat_id] * 5_001)
    for queries in ([], [pb.UnreadTotalQuery(user_id="bob")] * 501, [bob, bob]):
        with pytest.raises(InvalidArgument):
            await service.stub.GetUnreadTotals(pb.GetUnreadTotalsRequest(queries=queries))


async def test_what_was_said_before_joining_is_history_and_not_unread(service: Service) -> None:
    group = Log((await service.group("alice", "bob")).id)
    await service.publish(*group.messages(3, "alice"))
    await service.stored(group.chat_id, 3)
    await service.stub.AddMembers(pb.AddMembersRequest(chat_id=group.chat_id, member_ids=["carol"]))
    assert await totals(service, "bob", "carol") == [3, 0]
    await service.publish(*group.messages(1, "alice"))
    await service.stored(group.chat_id, 4)
    assert await totals(service, "bob", "carol") == [4, 1]
    # Not read by her either: nobody is shown a receipt for what she never saw.
    [attention] = (await ask(service, (group.chat_id, "carol"))).attentions
    assert (attention.read_seq, attention.unread) == (0, 1)
