"""Lists and sessions of users whom others made as large as they may: bounded in bytes, complete by pages."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId
from pydantic import SecretStr

from chat_service.adapters.redis import keys
from chat_service.use_cases import open_session
from mesh.errors import FailedPrecondition, ResourceExhausted
from mesh.rpc.channel import open_channel
from mesh.rpc.messages import MAX_ANSWER_BYTES
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.chat_pb2 import ROLE_ADMIN, ROLE_MEMBER, Chat, LatestMessage
from parley.common.v1.message_pb2 import MESSAGE_TYPE_TEXT
from parley.events.v1.user_event_pb2 import UserEvent
from parley.persist.v1.persist_service_pb2 import ListChatsRequest
from persist_service.adapters import barrier
from tests.integration.chat_service.scaffold import World, open_world
from tests.integration.persist_service.conftest import SECRET
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.persist_service.conftest import Servers

CLEF = "\U0001d11e"  # four bytes in UTF-8
MOST_CHAT_BYTES = 12_000
MOST_PAGE_BYTES = 100 * MOST_CHAT_BYTES


def long_id(number: int) -> str:
    """The id of a user of 512 bytes."""
    return (
        f"{number:04}".translate({ord(digit): chr(0x1D7CE + int(digit)) for digit in "0123456789"})
        + CLEF * 124
    )


@pytest.fixture
async def unlimited(servers: Servers) -> AsyncIterator[World]:
    """Both services, where strangers may do what they like."""
    async with open_world(servers, persist_settings={"persist_stranger_groups": 0}) as opened:
        yield opened


async def worst_group(world: World, maker: str, *members: str) -> Chat:
    request = pb.CreateGroupRequest(
        user_id=maker,
        name=CLEF * 100,
        description=CLEF * 1_000,
        avatar=CLEF * 500,
        member_ids=members,
    )
    return (await world.chat.CreateGroup(request)).chat


async def pages(world: World, user_id: str, limit: int = 100) -> list[pb.ListChatsResponse]:
    """All pages of a user's list."""
    found: list[pb.ListChatsResponse] = []
    request = pb.ListChatsRequest(user_id=user_id, limit=limit)
    while True:
        found.append(await world.chat.ListChats(request))
        if not found[-1].next_cursor:
            return found
        request.cursor = found[-1].next_cursor


async def all_members(world: World, user_id: str, chat_id: str, **fields: Any) -> list[str]:
    found: list[str] = []
    request = pb.ListMembersRequest(user_id=user_id, chat_id=chat_id, limit=40, **fields)
    while True:
        page = await world.chat.ListMembers(request)
        found += [member.user_id for member in page.members]
        if not page.next_cursor:
            return found
        request.cursor = page.next_cursor


async def multiply(world: World, chat: Chat, user_id: str, count: int) -> None:
    """As if so many groups like this one had been made yesterday, each with a long last message."""
    db, made = world.persist.db, ObjectId(chat.id)
    one, mine = db.chats.find_one({"_id": made}), db.memberships.find_one({"chatId": made, "userId": user_id})
    assert one is not None
    assert mine is not None
    latest = LatestMessage(
        text=CLEF * 200, sender_id=long_id(1), timestamp_ms=1, seq=1, type=MESSAGE_TYPE_TEXT
    )
    ids = [ObjectId() for _ in range(count)]
    yesterday = one["updatedAt"] - timedelta(days=1)
    db.chats.insert_many([{**one, "_id": new, "updatedAt": yesterday} for new in ids])
    db.memberships.insert_many([{**mine, "_id": ObjectId(), "chatId": new} for new in ids])
    async with world.redis.pipeline(transaction=False) as pipe:
        head: dict[Any, Any] = {"epoch": 1, "base": 0, "seq": 1, "number": 1, "members": chat.member_count}
        for new in ids:
            pipe.hset(keys.head(str(new)), mapping={**head, "latest": latest.SerializeToString()})
        await pipe.execute()


@pytest.mark.timeout(180)
async def test_the_worst_user_can_list_connect_and_leave(
    unlimited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A session opens with 1,000 chats; the stand-in for MongoDB would take minutes to hold more than that.
    monkeypatch.setattr(open_session, "CHATS_PER_USER", 100)
    world, victim, groups = unlimited, long_id(0), 220
    chat = await worst_group(world, "mallory", victim, *(long_id(number) for number in range(1, 100)))
    await multiply(world, chat, victim, groups - 1)

    answers = await pages(world, victim)
    listed = {chat.id: chat for answer in answers for chat in answer.chats}
    assert len(listed) == groups
    assert max(answer.ByteSize() for answer in answers) <= MOST_PAGE_BYTES <= MAX_ANSWER_BYTES // 4
    assert max(chat.ByteSize() for chat in listed.values()) <= MOST_CHAT_BYTES
    assert {(len(chat.members), chat.member_count) for chat in listed.values()} == {(5, 101)}

    opened = await world.chat.OpenSession(pb.OpenSessionRequest(user_id=victim, connection_id="phone"))
    assert len(opened.chat_ids) == 100
    assert opened.ByteSize() * 10 < 30_000
    stored = await world.persist.stub.ListChats(ListChatsRequest(user_id=victim, limit=1_000))
    assert stored.ByteSize() / groups < 100
    joined = await world.chat.JoinChats(pb.JoinChatsRequest(user_id=victim, chat_ids=opened.chat_ids))
    assert all(result.HasField("head") for result in joined.results)
    assert joined.ByteSize() / 100 < 100

    # The others are where the session says that the list goes on; and they can be joined.
    request = pb.ListChatsRequest(user_id=victim, limit=100, cursor=opened.next_cursor)
    others: set[str] = set()
    while request.cursor:
        answer = await world.chat.ListChats(request)
        others |= {chat.id for chat in answer.chats}
        request.cursor = answer.next_cursor
    assert {*opened.chat_ids, *others} == listed.keys()
    joined = await world.chat.JoinChats(pb.JoinChatsRequest(user_id=victim, chat_ids=others))
    assert all(result.HasField("head") for result in joined.results)

    await world.chat.LeaveChat(pb.LeaveChatRequest(user_id=victim, chat_id=chat.id))
    first = await world.chat.ListChats(pb.ListChatsRequest(user_id=victim, limit=100))
    assert chat.id == answers[0].chats[0].id
    assert {chat.id for chat in first.chats} <= listed.keys() - {chat.id}


async def test_a_group_of_a_hundred_named_members_has_101(world: World) -> None:
    others = [f"user-{number:03}" for number in range(100)]
    async with world.redis.pubsub() as listener:
        await listener.subscribe(*(keys.user_channel(user) for user in ("alice", *others)))
        chat_id = await world.group("alice", *others)
        told: dict[str, Chat] = {}
        async with asyncio.timeout(30):
            while len(told) < 101:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None:
                    event = UserEvent.FromString(message["data"])
                    told[event.user_id] = event.chat_added.chat
    assert {chat.id for chat in told.values()} == {chat_id}
    assert {chat.member_count for chat in told.values()} == {101}
    assert (told["alice"].role, told[others[-1]].role) == (ROLE_ADMIN, ROLE_MEMBER)
    assert (await world.send(chat_id, user_id=others[-1])).HasField("accepted")
    assert await all_members(world, others[-1], chat_id) == ["alice", *others]
    assert await all_members(world, "alice", chat_id, role=ROLE_ADMIN) == ["alice"]
    await world.persist.stored(chat_id, 1)
    [news], _ = await world.persist.notifications(recipients=100, reads=1)
    assert {one.user_id for one in news.recipients} == {"alice", *others} - {others[-1]}


async def test_adding_members_costs_redis_a_few_bytes_for_each(unlimited: World) -> None:
    chat = await worst_group(unlimited, "mallory", *(long_id(number) for number in range(50)))
    new = [long_id(number) for number in range(100, 200)]
    async with unlimited.redis.pubsub() as listener:
        await listener.subscribe(*map(keys.user_channel, new))
        request = pb.AddMembersRequest(user_id="mallory", chat_id=chat.id, member_ids=new)
        await unlimited.chat.AddMembers(request)
        sizes: list[int] = []
        async with asyncio.timeout(30):
            while len(sizes) < len(new):
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None:
                    sizes.append(len(message["data"]))
    assert max(sizes) <= MOST_CHAT_BYTES + 1_200  # whom it concerns, and who did it


async def test_a_chat_whose_log_cannot_be_asked_about_is_listed_as_it_is_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, good = await world.direct("alice", "bob"), await world.direct("alice", "carol")
    await world.send(lost, user_id="bob", content="stored")
    await world.send(good, user_id="carol", content="live")
    await world.stored(lost, 1)
    await world.stored(good, 1)
    await world.redis.delete(keys.head(lost))
    monkeypatch.setattr(barrier, "_WAIT_SECONDS", 0.0)  # to the log's new epoch the store is behind for ever
    answer = await world.chat.ListChats(pb.ListChatsRequest(user_id="alice"))
    shown = {chat.id: chat for chat in answer.chats}
    assert set(shown) == {lost, good}
    assert (shown[lost].unread, shown[lost].seq, shown[lost].latest_message.text) == (1, 1, "stored")
    assert shown[good].latest_message.text == "live"


async def test_a_list_has_a_price(servers: Servers) -> None:
    async with open_world(servers, chat_list_rate=0.001, chat_list_burst=2) as world:
        for _ in range(2):
            await world.chat.ListChats(pb.ListChatsRequest(user_id="alice"))
        with pytest.raises(ResourceExhausted) as refused:
            await world.chat.ListChats(pb.ListChatsRequest(user_id="alice"))
        assert refused.value.code == "RATE_LIMITED"


async def test_strangers_may_add_somebody_to_so_many_groups(servers: Servers) -> None:
    async with open_world(servers, persist_settings={"persist_stranger_groups": 3}) as world:
        groups = [await world.group(f"mallory-{n}", "bob", "carol") for n in range(3)]
        with pytest.raises(FailedPrecondition, match="user 2 of") as refused:
            await world.group("mallory-3", "dave", "bob")
        assert refused.value.code == "TOO_MANY_GROUPS"
        own = await world.group("mallory-4", "dave")
        with pytest.raises(FailedPrecondition):
            await world.chat.AddMembers(
                pb.AddMembersRequest(user_id="mallory-4", chat_id=own, member_ids=["bob"])
            )
        # Who is a member already is not added: a repeat is no matter.
        again = pb.AddMembersRequest(user_id="mallory-0", chat_id=groups[0], member_ids=["bob", "erin"])
        assert list((await world.chat.AddMembers(again)).added_ids) == ["erin"]

        # A direct chat that the stranger made alone is no acquaintance; one in which bob has written is.
        friendly = await world.direct("mallory-4", "bob")
        await world.send(friendly, user_id="mallory-4")
        with pytest.raises(FailedPrecondition):
            await world.group("mallory-4", "bob")
        await world.send(friendly, user_id="bob")
        await world.stored(friendly, 2)
        await read_anything(world, friendly, "bob")
        await world.group("mallory-4", "bob")

        # The victim can list and leave all of them, and is free again then, or after reading there.
        assert len((await pages(world, "bob"))[0].chats) == 5
        await world.chat.LeaveChat(pb.LeaveChatRequest(user_id="bob", chat_id=groups[0]))
        await world.send(groups[1], user_id="bob")
        await read_anything(world, groups[1], "bob")
        await world.group("mallory-5", "bob")


async def test_a_back_end_is_nobodys_stranger(servers: Servers) -> None:
    async with open_world(servers, persist_settings={"persist_stranger_groups": 1}) as world:
        await world.group("mallory", "bob")
        target = f"127.0.0.1:{world.port}"
        async with open_channel(target, caller="shop", callee="chat", secret=SecretStr(SECRET)) as channel:
            request = pb.CreateGroupRequest(user_id="desk", name="order 1", member_ids=["bob"])
            made = await ChatServiceStub(channel).CreateGroup(request)
        assert made.chat.member_count == 2


async def read_anything(world: World, chat_id: str, user_id: str) -> None:
    """Returns once the store knows that the user has read something there."""

    async def has_read() -> bool | None:
        mine = {"chatId": ObjectId(chat_id), "userId": user_id, "readSeq": {"$gt": 0}}
        found = world.persist.db.memberships.find_one(mine)
        return True if found is not None else None

    await eventually(has_read)
