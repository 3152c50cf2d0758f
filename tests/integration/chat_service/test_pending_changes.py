"""A change of members that broke off between the store and the log is finished, by whoever comes next.

What a process leaves that dies in between is made here as it makes it: the note, and then the store's part.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from bson import ObjectId

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.pending_changes import RedisPendingChanges
from chat_service.domain.events import member_removed, members_added
from chat_service.domain.model import Member, Role
from mesh.errors import PermissionDenied
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.chat_pb2 import ROLE_ADMIN
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.user_event_pb2 import UserEvent
from parley.persist.v1 import persist_service_pb2 as persist
from tests.integration.chat_service.scaffold import World
from tests.support.polling import eventually

EVE_AND_FRANK = [Member("eve", Role.MEMBER, 1), Member("frank", Role.MEMBER, 1)]
ADDS_EVE = partial(members_added, actor_id="alice", members=EVE_AND_FRANK, at_ms=1)
REMOVES_BOB = partial(member_removed, actor_id="alice", user_id="bob", at_ms=1)
ALICE_LEAVES = partial(member_removed, actor_id="alice", user_id="alice", at_ms=1)


async def left_behind(
    world: World, chat_id: str, change: Callable[[str], ChatEvent], age_ms: int = 0
) -> None:
    """The note alone, so old."""
    await RedisPendingChanges(world.redis).begin(change(chat_id))
    await world.redis.zincrby(keys.PENDING_INDEX, -age_ms, chat_id)


async def store_adds(world: World, chat_id: str, *user_ids: str) -> None:
    await world.persist.stub.AddMembers(persist.AddMembersRequest(chat_id=chat_id, member_ids=user_ids))


async def store_removes(world: World, chat_id: str, user_id: str, *, promote: bool = False) -> None:
    request = persist.RemoveMemberRequest(chat_id=chat_id, user_id=user_id, promote_successor=promote)
    await world.persist.stub.RemoveMember(request)


async def log_of(world: World, chat_id: str, user_id: str = "alice") -> list[ChatEvent]:
    (piece,) = await world.read((chat_id, 1, 0), limit=500, user_id=user_id)
    return list(piece.entries)


async def change_something(world: World, chat_id: str) -> None:
    request = pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=["zoe"])
    await world.chat.AddMembers(request)


@asynccontextmanager
async def told(world: World, user_id: str) -> AsyncIterator[Callable[[], Awaitable[UserEvent]]]:
    """Gives the next thing that a user's connections are told."""
    async with world.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(keys.user_channel(user_id))

        async def next_event() -> UserEvent:
            async with asyncio.timeout(30):
                async for item in pubsub.listen():
                    return UserEvent.FromString(item["data"])
            raise AssertionError

        yield next_event


def truth(condition: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool | None]]:
    """For ``eventually``."""

    async def probe() -> bool | None:
        return await condition() or None

    return probe


async def nothing_pends(world: World, chat_id: str) -> bool:
    return not await world.redis.exists(keys.pending(chat_id))


async def test_the_next_change_first_logs_what_was_added(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    assert (await world.send(chat_id, user_id="eve")).HasField("error")  # so that Redis knows: no member
    await left_behind(world, chat_id, ADDS_EVE)
    await store_adds(world, chat_id, "eve")  # frank was asked for too, and did not get in
    async with told(world, "eve") as events:
        await change_something(world, chat_id)
        event = await events()
    assert (event.chat_added.chat.id, event.chat_added.actor_id) == (chat_id, "alice")
    first, second = await log_of(world, chat_id)
    assert [member.user_id for member in first.members_added.members] == ["eve"]
    assert first.members_added.actor_id == "alice"
    assert [member.user_id for member in second.members_added.members] == ["zoe"]
    assert (await world.send(chat_id, user_id="eve")).HasField("accepted")
    assert await nothing_pends(world, chat_id)


async def test_the_next_change_first_logs_who_was_removed(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    assert (await world.send(chat_id, user_id="bob")).HasField("accepted")
    await left_behind(world, chat_id, REMOVES_BOB)
    await store_removes(world, chat_id, "bob")
    async with told(world, "bob") as events:
        await change_something(world, chat_id)
        event = await events()
    assert event.chat_removed.chat_id == chat_id
    kinds = [entry.WhichOneof("body") for entry in await log_of(world, chat_id)]
    assert kinds == ["message", "member_removed", "members_added"]
    shown = (await world.chat.GetChat(pb.GetChatRequest(user_id="alice", chat_id=chat_id))).chat
    assert shown.member_count == 2
    assert (await world.send(chat_id, user_id="bob")).HasField("error")


async def test_a_successor_is_an_admin_although_nobody_heard_of_it(world: World) -> None:
    chat_id = await world.group("alice", "bob", "carol")
    assert (await world.send(chat_id, user_id="bob")).HasField("accepted")  # so that Redis knows: a member
    await left_behind(world, chat_id, ALICE_LEAVES, age_ms=60_000)
    await store_removes(world, chat_id, "alice", promote=True)
    await eventually(truth(lambda: nothing_pends(world, chat_id)))
    assert (await log_of(world, chat_id, "bob"))[-1].member_removed.promoted_id == "bob"
    shown = (await world.chat.GetChat(pb.GetChatRequest(user_id="bob", chat_id=chat_id))).chat
    assert shown.role == ROLE_ADMIN


async def test_a_store_that_got_no_further_than_the_membership_is_finished_too(world: World) -> None:
    """What the chat's document still says of an admin who left does not make her one again."""
    chat_id = await world.group("alice", "bob", "carol")
    await left_behind(world, chat_id, ALICE_LEAVES, age_ms=60_000)
    world.persist.db.memberships.delete_one({"chatId": ObjectId(chat_id), "userId": "alice"})
    await eventually(truth(lambda: nothing_pends(world, chat_id)))
    assert (await log_of(world, chat_id, "bob"))[-1].member_removed.promoted_id == "bob"
    shown = (await world.chat.GetChat(pb.GetChatRequest(user_id="bob", chat_id=chat_id))).chat
    assert (shown.role, shown.member_count, [member.user_id for member in shown.members]) == (
        ROLE_ADMIN,
        2,
        ["bob", "carol"],
    )
    assert (await world.send(chat_id, user_id="alice")).HasField("error")
    with pytest.raises(PermissionDenied):
        await world.chat.AddMembers(pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=["x"]))


async def test_what_is_logged_already_is_told_and_not_logged_again(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.chat.AddMembers(pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=["eve"]))
    await left_behind(world, chat_id, ADDS_EVE)
    await world.redis.hset(keys.pending(chat_id), "logged", "1")
    async with told(world, "eve") as events:
        await change_something(world, chat_id)
        event = await events()
    assert event.chat_added.chat.id == chat_id
    added = [
        [member.user_id for member in entry.members_added.members] for entry in await log_of(world, chat_id)
    ]
    assert added == [["eve"], ["zoe"]]
    assert await nothing_pends(world, chat_id)


@pytest.mark.parametrize("change", [ADDS_EVE, REMOVES_BOB], ids=["adding", "removing"])
async def test_what_the_store_never_did_is_forgotten(
    world: World, change: Callable[[str], ChatEvent]
) -> None:
    chat_id = await world.group("alice", "bob")
    await left_behind(world, chat_id, change, age_ms=60_000)
    if change is REMOVES_BOB:
        await world.redis.hset(keys.members(chat_id), "bob", str(Role.NONE))
    await eventually(truth(lambda: nothing_pends(world, chat_id)))
    assert await log_of(world, chat_id) == []
    assert (await world.send(chat_id, user_id="bob")).HasField("accepted")
    with pytest.raises(PermissionDenied):
        await world.chat.GetChat(pb.GetChatRequest(user_id="eve", chat_id=chat_id))


async def test_without_a_next_change_it_is_finished_once_it_is_old(world: World) -> None:
    chat_id, young = await world.group("alice", "bob"), await world.group("alice", "bob")
    await store_adds(world, chat_id, "eve")
    await store_adds(world, young, "eve")
    await left_behind(world, young, ADDS_EVE)
    await left_behind(world, chat_id, ADDS_EVE, age_ms=60_000)
    await eventually(truth(lambda: nothing_pends(world, chat_id)))
    assert [entry.WhichOneof("body") for entry in await log_of(world, chat_id)] == ["members_added"]
    assert not await nothing_pends(world, young)
    # The mark goes too, in the next round.
    await eventually(truth(lambda: unmarked(world, chat_id)))


async def test_a_change_of_a_chat_that_is_gone_is_forgotten(world: World) -> None:
    await left_behind(world, "0" * 24, ADDS_EVE, age_ms=60_000)
    await eventually(truth(lambda: nothing_pends(world, "0" * 24)))


async def unmarked(world: World, chat_id: str) -> bool:
    return await world.redis.zscore(keys.PENDING_INDEX, chat_id) is None
