"""Members who come and go at once: the store, the roles in Redis and the log stay of one mind."""

import asyncio
import contextlib

import pytest

from chat_service.adapters.redis import keys
from mesh.errors import ParleyError, PermissionDenied, ResourceExhausted, Unavailable
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.chat_pb2 import ROLE_ADMIN, ROLE_NONE
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.persist.v1.persist_service_pb2 import GetMembershipsRequest, MembershipQuery
from tests.integration.chat_service.scaffold import World, open_world
from tests.integration.persist_service.conftest import Servers
from tests.support.polling import eventually


async def add(world: World, chat_id: str, *user_ids: str) -> list[str]:
    request = pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=user_ids)
    return list((await world.chat.AddMembers(request)).added_ids)


async def remove(world: World, chat_id: str, user_id: str, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
    request = pb.RemoveMemberRequest(user_id="alice", chat_id=chat_id, member_id=user_id)
    await world.chat.RemoveMember(request, timeout=timeout)


async def is_stored(world: World, chat_id: str, user_id: str) -> bool:
    query = GetMembershipsRequest(queries=[MembershipQuery(chat_id=chat_id, user_id=user_id)])
    (found,) = (await world.persist.stub.GetMemberships(query)).memberships
    return found.role != ROLE_NONE


async def may_send(world: World, chat_id: str, user_id: str) -> bool:
    return (await world.send(chat_id, user_id=user_id)).HasField("accepted")


async def logged(world: World, chat_id: str) -> list[ChatEvent]:
    (piece,) = await world.read((chat_id, 1, 0), limit=500, user_id="alice")
    return list(piece.entries)


def members_by_log(events: list[ChatEvent], *first: str) -> set[str]:
    members = set(first)
    for event in events:
        members |= {member.user_id for member in event.members_added.members}
        members -= {event.member_removed.user_id}
    return members


async def test_adding_and_removing_one_user_at_once_ends_in_one_truth(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    for _ in range(25):
        await asyncio.gather(add(world, chat_id, "eve"), remove(world, chat_id, "eve"))
        stored = await is_stored(world, chat_id, "eve")
        assert await may_send(world, chat_id, "eve") is stored
        assert ("eve" in members_by_log(await logged(world, chat_id), "alice", "bob")) is stored


async def test_removals_at_once_leave_a_true_count(world: World) -> None:
    chat_id = await world.group("alice", "bob", "carol", "dave", "eve")
    await asyncio.gather(*(remove(world, chat_id, user) for user in ("bob", "carol", "dave")))
    shown = (await world.chat.GetChat(pb.GetChatRequest(user_id="alice", chat_id=chat_id))).chat
    assert shown.member_count == 2
    assert sorted(member.user_id for member in shown.members) == ["alice", "eve"]


async def test_a_caller_that_gives_up_leaves_no_change_half_done(world: World) -> None:
    people = [f"user-{number}" for number in range(30)]
    chat_id = await world.group("alice", *people)
    for user in people:
        assert await may_send(world, chat_id, user)  # so that Redis knows the role
    for count, user in enumerate(people):
        with contextlib.suppress(ParleyError):
            # From 1 ms to almost a second: some give up in the middle, however fast the machine is.
            await remove(world, chat_id, user, timeout=0.001 * 1.26**count)

    async def of_one_mind() -> set[str] | None:
        by_log = members_by_log(await logged(world, chat_id), "alice", *people)
        for user in people:
            stored = await is_stored(world, chat_id, user)
            if (user in by_log) is not stored or await may_send(world, chat_id, user) is not stored:
                return None
        return by_log

    # What still runs behind the callers' backs takes its turn; then all three must agree.
    left = await eventually(of_one_mind)
    assert len(left) < len(people), "no removal got through: the test shows nothing"


async def test_a_repeat_finds_nothing_to_do_and_logs_nothing(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    assert await add(world, chat_id, "eve", "bob") == ["eve"]
    assert await add(world, chat_id, "eve") == []
    await remove(world, chat_id, "eve")
    await remove(world, chat_id, "eve")
    kinds = [event.WhichOneof("body") for event in await logged(world, chat_id)]
    assert kinds == ["members_added", "member_removed"]


async def test_the_successor_of_a_last_admin_is_told_in_the_log(world: World) -> None:
    chat_id = await world.group("alice", "bob", "carol")
    await world.chat.LeaveChat(pb.LeaveChatRequest(user_id="alice", chat_id=chat_id))
    (piece,) = await world.read((chat_id, 1, 0), user_id="bob")
    assert piece.entries[-1].member_removed.promoted_id == "bob"
    shown = (await world.chat.GetChat(pb.GetChatRequest(user_id="bob", chat_id=chat_id))).chat
    assert shown.role == ROLE_ADMIN
    with pytest.raises(PermissionDenied):
        await world.chat.LeaveChat(pb.LeaveChatRequest(user_id="alice", chat_id=chat_id))


async def test_a_chat_whose_members_are_being_changed_elsewhere_says_so(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.redis.set(keys.membership_lock(chat_id), "another process", px=60_000)
    with pytest.raises(ParleyError) as refused:
        await add(world, chat_id, "eve")
    assert (refused.value.code, refused.value.retryable) == ("OVERLOADED", True)
    assert not isinstance(refused.value, Unavailable)


async def test_who_may_not_change_a_chat_is_told_so_while_others_hold_it(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    await world.redis.set(keys.membership_lock(chat_id), "another process", px=60_000)
    leaving = pb.LeaveChatRequest(user_id="eve", chat_id=chat_id)
    removing = pb.RemoveMemberRequest(user_id="eve", chat_id=chat_id, member_id="bob")
    adding = pb.AddMembersRequest(user_id="eve", chat_id=chat_id, member_ids=["frank"])
    by_bob = pb.RemoveMemberRequest(user_id="bob", chat_id=chat_id, member_id="alice")
    invited = pb.AddMembersRequest(user_id="bob", chat_id=chat_id, member_ids=["frank"])
    calls = (
        (world.chat.LeaveChat(leaving), "NOT_A_MEMBER"),
        (world.chat.RemoveMember(removing), "NOT_A_MEMBER"),
        (world.chat.AddMembers(adding), "NOT_A_MEMBER"),
        (world.chat.RemoveMember(by_bob), "NOT_AN_ADMIN"),
        (world.chat.AddMembers(invited), "NOT_AN_ADMIN"),
        (world.chat.LeaveChat(pb.LeaveChatRequest(user_id="eve", chat_id="no id")), "NOT_A_MEMBER"),
    )
    for call, code in calls:
        with pytest.raises(PermissionDenied) as refused:
            await call
        assert refused.value.code == code
    assert not await world.redis.exists(keys.membership_queue(chat_id)), "somebody waited"


async def test_an_admin_changes_members_while_outsiders_keep_trying(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    over = asyncio.Event()
    refused = 0

    async def try_to_leave() -> None:
        nonlocal refused
        while not over.is_set():
            with contextlib.suppress(PermissionDenied):
                await world.chat.LeaveChat(pb.LeaveChatRequest(user_id="eve", chat_id=chat_id))
            refused += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(try_to_leave())
        for number in range(10):
            assert await add(world, chat_id, f"user-{number}") == [f"user-{number}"]
        over.set()
    assert refused > 10


async def test_changes_of_members_have_a_rate_that_counts_ids_by_their_bytes(servers: Servers) -> None:
    async with open_world(servers, chat_member_rate=0.5, chat_member_burst=20) as world:
        chat_id = await world.group("alice", "bob")  # 2 of the 20
        long_ids = [f"{number}" + "\U0001f600" * 127 for number in range(3)]  # 509 bytes each: 4
        await add(world, chat_id, *long_ids)
        await add(world, chat_id, "carol", "dave", "erin", "frank")
        with pytest.raises(ResourceExhausted) as refused:
            await add(world, chat_id, *(f"user-{number}" for number in range(10)))
        assert refused.value.code == "RATE_LIMITED"
        assert refused.value.retry_after_ms > 1_000
        await remove(world, chat_id, "dave")  # the refusal took nothing
        left = pb.LeaveChatRequest(user_id="bob", chat_id=chat_id)
        await world.chat.LeaveChat(left)  # what others did is not bob's
