"""Chats, groups and who is in them, over gRPC."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.ids import new_object_id
from parley.common.v1.chat_pb2 import ChatType, Role
from parley.persist.v1 import persist_service_pb2 as pb
from tests.integration.persist_service.conftest import Log, running, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from parley.common.v1.chat_pb2 import Chat
    from tests.integration.persist_service.conftest import Servers, Service


async def roles(service: Service, chat_id: str, *user_ids: str) -> list[int]:
    queries = [pb.MembershipQuery(chat_id=chat_id, user_id=user_id) for user_id in user_ids]
    answer = await service.stub.GetMemberships(pb.GetMembershipsRequest(queries=queries))
    return [membership.role for membership in answer.memberships]


async def remove(service: Service, chat_id: str, user_id: str, *, promote: bool) -> pb.RemoveMemberResponse:
    return await service.stub.RemoveMember(
        pb.RemoveMemberRequest(chat_id=chat_id, user_id=user_id, promote_successor=promote)
    )


def named(chat: Chat) -> list[str]:
    return [member.user_id for member in chat.members]


async def add(service: Service, chat_id: str, *user_ids: str) -> pb.AddMembersResponse:
    return await service.stub.AddMembers(pb.AddMembersRequest(chat_id=chat_id, member_ids=user_ids))


async def test_a_pair_has_one_chat_whoever_asks_and_however_many_at_once(service: Service) -> None:
    pair = ('a"b', "c,d")  # ids that a careless key would mix up
    answers = await asyncio.gather(
        *(
            service.stub.CreateDirectChat(
                pb.CreateDirectChatRequest(user_id=pair[n % 2], peer_id=pair[1 - n % 2])
            )
            for n in range(20)
        )
    )
    assert len({answer.chat.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    chat = answers[0].chat
    assert chat.type == ChatType.CHAT_TYPE_DIRECT
    assert sorted(member.user_id for member in chat.members) == sorted(pair)
    assert chat.member_count == 2
    assert await roles(service, chat.id, *pair, "other") == [Role.ROLE_MEMBER] * 2 + [Role.ROLE_NONE]
    assert service.db.memberships.count_documents({}) == 2


async def test_a_repeat_completes_a_direct_chat_that_a_crash_left_without_members(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    service.db.memberships.delete_many({})
    assert (await service.direct("bob", "alice")).id == chat.id
    assert await roles(service, chat.id, "alice", "bob") == [Role.ROLE_MEMBER] * 2


async def test_a_group_is_made_once_and_a_repeat_brings_nobody_back(service: Service) -> None:
    chat_id = new_object_id()
    group = await service.group("alice", "bob", "carol", chat_id=chat_id, name="one")
    assert [(m.user_id, m.role) for m in group.members] == [
        ("alice", Role.ROLE_ADMIN),
        ("bob", Role.ROLE_MEMBER),
        ("carol", Role.ROLE_MEMBER),
    ]
    assert (group.created_by, group.member_count, group.name) == ("alice", 3, "one")
    await remove(service, chat_id, "bob", promote=False)
    again = await service.group("alice", "bob", "carol", chat_id=chat_id, name="two")
    assert (named(again), again.name) == (["alice", "carol"], "one")


async def test_a_group_that_a_crash_left_half_made_is_completed(service: Service) -> None:
    chat_id = new_object_id()
    await service.group("alice", "bob", chat_id=chat_id)
    service.db.memberships.delete_one({"userId": "bob"})
    service.db.chats.update_one({}, {"$set": {"membersVersion": 0, "members": [], "memberCount": 0}})
    again = await service.group("alice", "bob", chat_id=chat_id)
    assert (named(again), again.member_count) == (["alice", "bob"], 2)


async def test_members_come_and_go(service: Service) -> None:
    group = await service.group("alice", "bob")
    answer = await add(service, group.id, "bob", "carol", "dave")
    assert [member.user_id for member in answer.added] == ["carol", "dave"]
    assert named(answer.chat) == ["alice", "bob", "carol", "dave"]
    assert (await remove(service, group.id, "carol", promote=False)).removed
    assert not (await remove(service, group.id, "carol", promote=False)).removed
    chat = (await service.stub.GetChat(pb.GetChatRequest(chat_id=group.id))).chat
    assert (named(chat), chat.member_count) == (["alice", "bob", "dave"], 3)


async def test_members_who_come_at_once_are_all_listed_and_counted(service: Service) -> None:
    group = await service.group("alice")
    await asyncio.gather(*(add(service, group.id, f"a{n}", f"b{n}") for n in range(20)))
    chat = (await service.stub.GetChat(pb.GetChatRequest(chat_id=group.id))).chat
    assert (chat.member_count, len(chat.members)) == (41, 5)
    assert len(await service.members(group.id)) == 41


async def test_a_large_group_is_counted_and_names_its_first_members(service: Service) -> None:
    group = await service.group("alice")
    users = [f"user-{n:04}" for n in range(1_300)]
    for start in range(0, len(users), 100):
        answer = await add(service, group.id, *users[start : start + 100])
    assert (answer.chat.member_count, len(answer.chat.members)) == (1_301, 5)
    assert list((await add(service, group.id, *users[:50])).added) == []
    await remove(service, group.id, users[1_200], promote=True)
    await remove(service, group.id, users[1_200], promote=True)
    await remove(service, group.id, users[0], promote=True)
    chat = (await service.stub.GetChat(pb.GetChatRequest(chat_id=group.id))).chat
    assert (chat.member_count, named(chat)) == (1_299, ["alice", *users[1:5]])
    left = [user for user in users if user not in {users[0], users[1_200]}]
    assert await service.members(group.id) == ["alice", *left]
    assert await service.members(group.id, Role.ROLE_ADMIN) == ["alice"]
    assert await service.members(group.id, Role.ROLE_MEMBER) == left


async def test_a_group_keeps_an_admin(service: Service) -> None:
    group = await service.group("alice", "bob", "carol")
    with pytest.raises(FailedPrecondition, match="no admin"):
        await remove(service, group.id, "alice", promote=False)
    answer = await remove(service, group.id, "alice", promote=True)
    assert (answer.removed, answer.promoted_id) == (True, "bob")
    assert await roles(service, group.id, "alice", "bob", "carol") == [
        Role.ROLE_NONE,
        Role.ROLE_ADMIN,
        Role.ROLE_MEMBER,
    ]
    service.db.memberships.update_one({"userId": "carol"}, {"$set": {"role": "admin"}})
    await add(service, group.id, "dave")
    await asyncio.gather(*(remove(service, group.id, admin, promote=True) for admin in ("bob", "carol")))
    assert await roles(service, group.id, "dave") == [Role.ROLE_ADMIN]
    assert (await remove(service, group.id, "dave", promote=False)).removed  # the last one may always leave


async def test_the_owner_is_the_maker_and_then_the_admin_who_joined_first(service: Service) -> None:
    async def owner() -> str:
        return (await service.stub.GetChat(pb.GetChatRequest(chat_id=group.id))).chat.owner_id

    others = [f"other-{n}" for n in range(6)]
    group = await service.group("alice", *others, "zoe")
    assert group.owner_id == "alice"
    for admin in ("other-3", "zoe"):  # of whom the chat lists none
        service.db.memberships.update_one({"userId": admin}, {"$set": {"role": "admin"}})
    await remove(service, group.id, "other-0", promote=False)
    assert await owner() == "alice"
    await remove(service, group.id, "alice", promote=True)
    assert await owner() == "other-3"
    await remove(service, group.id, "other-1", promote=True)
    assert await owner() == "other-3"
    await remove(service, group.id, "other-3", promote=True)
    assert await owner() == "zoe"
    assert (await remove(service, group.id, "zoe", promote=True)).promoted_id == await owner() == "other-2"
    for other in others:
        await remove(service, group.id, other, promote=True)
    assert not await owner()


async def test_a_full_group_takes_nobody(servers: Servers) -> None:
    async with running(servers, persist_group_members=4) as service:
        await serving(service)
        group = await service.group("alice", "bob")
        await add(service, group.id, "bob", "carol", "dave")
        with pytest.raises(FailedPrecondition, match="at most 4"):
            await add(service, group.id, "dave", "erin")
        assert list((await add(service, group.id, "dave")).added) == []


async def test_lists_follow_each_change_of_membership(service: Service) -> None:
    assert await service.chats("bob") == {}
    group = await service.group("alice", "bob", name="g")
    assert (await service.chats("bob"))[group.id].role == Role.ROLE_MEMBER
    await add(service, group.id, "carol")
    assert set(await service.chats("carol")) == {group.id}
    direct = await service.direct("bob", "carol")
    assert set(await service.chats("carol")) == {group.id, direct.id}
    await remove(service, group.id, "carol", promote=False)
    assert set(await service.chats("carol")) == {direct.id}


async def test_a_list_is_cached_and_comes_in_pages(service: Service, servers: Servers) -> None:
    made = [(await service.direct("alice", f"peer-{n}")).id for n in range(5)]
    assert list(await service.chats("alice")) == made[::-1]
    with Redis.from_url(servers.redis_url) as redis:
        assert 0 < int(str(redis.ttl("user:{alice}:chats"))) <= 300
        assert len(redis.get("user:{alice}:chats") or b"") < 100 * len(made)
    pages = await listed(service, "alice", limit=2)
    lately = [made[:2], made[2:4], made[4:]]  # they may have changed meanwhile, so they come again
    assert pages == [made[:2:-1], made[2:0:-1], made[:1], *lately]
    newest = (await service.direct("alice", "peer-6")).id
    assert list(await service.chats("alice")) == [newest, *made[::-1]]


async def listed(service: Service, user_id: str, limit: int, *, between: Any = None) -> list[list[str]]:
    """The pages of a list; `between` is awaited after the first."""
    pages: list[list[str]] = []
    request = pb.ListChatsRequest(user_id=user_id, limit=limit)
    while True:
        answer = await service.stub.ListChats(request)
        pages.append([mine.chat_id for mine in answer.chats])
        if not answer.next_cursor:
            return pages
        if between is not None and len(pages) == 1:
            await between
        request.cursor = answer.next_cursor


async def test_a_chat_that_moves_to_the_front_while_somebody_pages_is_not_missed(service: Service) -> None:
    made = [(await service.direct("alice", f"peer-{n}")).id for n in range(6)]
    age(service)

    async def move() -> None:
        await service.publish(Log(made[0]).message("alice"))
        await service.stored(made[0], 1)

    pages = await listed(service, "alice", 3, between=move())
    assert pages == [made[:2:-1], [made[2], made[1]], [made[0]]]


def age(service: Service) -> None:
    """Has all chats changed long ago, in the order in which they did."""
    for chat in service.db.chats.find():
        at = chat["updatedAt"] - timedelta(days=1)
        service.db.chats.update_one({"_id": chat["_id"]}, {"$set": {"updatedAt": at}})


@pytest.mark.parametrize("cursor", ["x", "o-1-2-3", f"c-{'9' * 16}-", f"m-1-{'f' * 24}", "c-1-" + "f" * 23])
async def test_what_is_no_cursor_is_refused(service: Service, cursor: str) -> None:
    with pytest.raises(InvalidArgument, match="cursor"):
        await service.stub.ListChats(pb.ListChatsRequest(user_id="alice", limit=2, cursor=cursor))


async def test_who_asks_for_a_fresh_list_sees_what_the_cached_one_lacks(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    await service.chats("bob")
    await service.publish(Log(chat.id).message("alice", content="news"))
    await service.stored(chat.id, 1)
    assert (await service.chats("bob"))[chat.id].last_number == 0, "for up to 300 s"
    request = pb.ListChatsRequest(user_id="bob", limit=1_000, fresh=True)
    [mine] = (await service.stub.ListChats(request)).chats
    assert (mine.last_number, mine.read_number) == (1, 0)
    [shown] = (await service.stub.GetChats(pb.GetChatsRequest(chat_ids=[chat.id, NOWHERE, "x"]))).chats
    assert shown.latest_message.text == "news"


async def test_users_are_recorded(service: Service) -> None:
    await asyncio.gather(
        *(service.stub.UpsertUser(pb.UpsertUserRequest(user_id="alice", name="Alice")) for _ in range(10))
    )
    await service.stub.UpsertUser(pb.UpsertUserRequest(user_id="alice"))
    for at_ms in (2_000, 1_000):
        await service.stub.SetLastSeen(pb.SetLastSeenRequest(user_id="alice", last_seen_ms=at_ms))
    [user] = service.db.users.find()
    assert (user["userId"], user["name"]) == ("alice", "Alice")
    assert user["lastSeen"].replace(tzinfo=UTC).timestamp() == 2


NOWHERE = "f" * 24
BAD: list[tuple[str, Callable[[Any], Awaitable[Any]], type[Exception]]] = [
    ("no such chat", lambda s: s.GetChat(pb.GetChatRequest(chat_id=NOWHERE)), NotFound),
    ("chat id", lambda s: s.GetChat(pb.GetChatRequest(chat_id="X" * 24)), InvalidArgument),
    (
        "add nowhere",
        lambda s: s.AddMembers(pb.AddMembersRequest(chat_id=NOWHERE, member_ids=["a"])),
        NotFound,
    ),
    ("remove", lambda s: s.RemoveMember(pb.RemoveMemberRequest(chat_id=NOWHERE, user_id="a")), NotFound),
    (
        "no such message",
        lambda s: s.GetMessage(pb.GetMessageRequest(chat_id=NOWHERE, message_id=NOWHERE)),
        NotFound,
    ),
    ("limit", lambda s: s.ListMessages(pb.ListMessagesRequest(chat_id=NOWHERE, limit=0)), InvalidArgument),
    (
        "self",
        lambda s: s.CreateDirectChat(pb.CreateDirectChatRequest(user_id="a", peer_id="a")),
        InvalidArgument,
    ),
    ("user id", lambda s: s.UpsertUser(pb.UpsertUserRequest(user_id="u" * 129)), InvalidArgument),
    ("name", lambda s: s.UpsertUser(pb.UpsertUserRequest(user_id="u", name="n" * 101)), InvalidArgument),
    (
        "twice",
        lambda s: s.AddMembers(pb.AddMembersRequest(chat_id=NOWHERE, member_ids=["a", "a"])),
        InvalidArgument,
    ),
]


async def test_bad_requests_get_their_error(service: Service) -> None:
    for name, call, expected in BAD:
        try:
            await call(service.stub)
        except expected:
            continue
        pytest.fail(f"{name}: no error")


async def test_a_direct_chat_has_no_comings_and_goings(service: Service) -> None:
    chat = await service.direct("alice", "bob")
    with pytest.raises(FailedPrecondition):
        await add(service, chat.id, "carol")
    with pytest.raises(FailedPrecondition):
        await remove(service, chat.id, "bob", promote=True)
    with pytest.raises(FailedPrecondition):
        await service.group("alice", chat_id=chat.id)


async def test_what_does_not_exist_has_no_members_heads_or_history(service: Service) -> None:
    assert await roles(service, "nonsense", "alice") == [Role.ROLE_NONE]
    assert (
        list((await service.stub.RebuildHeads(pb.RebuildHeadsRequest(chat_ids=[NOWHERE, "x"]))).heads) == []
    )
    assert await service.history(NOWHERE) == []
    answer = await service.stub.ListPointers(pb.ListPointersRequest(chat_id=NOWHERE))
    assert (list(answer.pointers), answer.member_count) == ([], 0)


async def test_users_have_the_names_that_their_tokens_gave_them(service: Service) -> None:
    for user_id, name in (("ada", "Ada"), ("bob", "Bob"), ("bob", ""), ("eve", "")):
        await service.stub.UpsertUser(pb.UpsertUserRequest(user_id=user_id, name=name))
    asked = ["bob", "eve", "nobody", "ada", "bob"]
    answer = await service.stub.GetUserNames(pb.GetUserNamesRequest(user_ids=asked))
    assert list(answer.names) == ["Bob", "", "", "Ada", "Bob"]
    for wrong in ([], ["u"] * 1001):
        with pytest.raises(InvalidArgument):
            await service.stub.GetUserNames(pb.GetUserNamesRequest(user_ids=wrong))
