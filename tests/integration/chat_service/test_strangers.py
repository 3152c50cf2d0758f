"""What asking about chats that are not one's own costs, and what it leaves behind."""

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import pytest

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.non_members import MOST_KEPT, RedisNonMembers
from chat_service.use_cases.membership_states import MembershipStates
from mesh.errors import ParleyError, PermissionDenied, ResourceExhausted, code_of
from parley.chat.v1 import chat_service_pb2 as pb
from tests.integration.chat_service.scaffold import World, open_world
from tests.integration.persist_service.conftest import Servers

if TYPE_CHECKING:
    from chat_service.ports.log import ChatLog
    from chat_service.ports.store import Store
    from chat_service.use_cases.membership_lookup import MembershipLookup


def made_up(count: int) -> list[str]:
    return [uuid.uuid4().hex[:24] for _ in range(count)]


async def join(world: World, user_id: str, chat_ids: Iterable[str]) -> list[pb.JoinResult]:
    request = pb.JoinChatsRequest(user_id=user_id, chat_ids=chat_ids, by_user=True)
    return list((await world.chat.JoinChats(request)).results)


def codes(results: Iterable[pb.JoinResult]) -> Counter[str]:
    return Counter(code_of(item.error.reason) if item.HasField("error") else "joined" for item in results)


async def keys_of_chats(world: World) -> set[bytes]:
    return {key async for key in world.redis.scan_iter(match="chat:*")}


async def test_made_up_ids_leave_one_bounded_key_however_they_are_named(world: World) -> None:
    for _ in range(2):
        assert codes(await join(world, "eve", made_up(600))).keys() <= {"NOT_A_MEMBER", "RATE_LIMITED"}
    await world.read(*((chat_id, 0, 0) for chat_id in made_up(20)), user_id="eve")
    for chat_id in made_up(3):
        assert (await world.send(chat_id, user_id="eve")).HasField("error")
        with pytest.raises(ParleyError):
            await world.chat.SetTyping(pb.SetTypingRequest(user_id="eve", chat_id=chat_id, is_typing=True))
        with pytest.raises(ParleyError):
            await world.chat.MarkRead(pb.MarkReadRequest(user_id="eve", chat_id=chat_id))
        with pytest.raises(ParleyError):
            await world.chat.GetChat(pb.GetChatRequest(user_id="eve", chat_id=chat_id))
        with pytest.raises(ParleyError):
            await world.chat.LeaveChat(pb.LeaveChatRequest(user_id="eve", chat_id=chat_id))
    assert await keys_of_chats(world) == set()
    assert 0 < await world.redis.zcard(keys.non_members("eve")) <= MOST_KEPT
    assert 0 < await world.redis.pttl(keys.non_members("eve")) <= 10_000


async def test_what_is_remembered_of_one_user_is_bounded(world: World) -> None:
    non_members = RedisNonMembers(world.redis)
    first, last = made_up(10), made_up(MOST_KEPT)
    await non_members.remember([(chat_id, "eve") for chat_id in first])
    await world.redis.zadd(keys.non_members("eve"), dict.fromkeys(first, 1))  # long ago
    assert await non_members.known([(chat_id, "eve") for chat_id in first]) == set()
    await non_members.remember([(chat_id, "eve") for chat_id in last])
    pairs = {(chat_id, "eve") for chat_id in last}
    assert await non_members.known([*pairs, (last[0], "frank")]) == pairs
    assert await world.redis.zcard(keys.non_members("eve")) == MOST_KEPT


async def test_questions_about_strangers_have_a_rate_and_what_is_known_is_free(servers: Servers) -> None:
    async with open_world(servers, chat_stranger_rate=0.1, chat_stranger_burst=50) as world:
        mine = await world.direct("eve", "frank")
        asked = made_up(40)
        assert codes(await join(world, "eve", asked)) == {"NOT_A_MEMBER": 40}
        assert codes(await join(world, "eve", asked)) == {"NOT_A_MEMBER": 40}
        results = await join(world, "eve", [*made_up(30), mine])
        assert codes(results) == {"NOT_A_MEMBER": 10, "RATE_LIMITED": 20, "joined": 1}
        hints = [item.error.retry_after_ms for item in results if item.error.retry_after_ms]
        assert len(hints) == 20
        sent = await world.send(made_up(1)[0], user_id="eve")
        assert code_of(sent.error.reason) == "RATE_LIMITED"
        with pytest.raises(ResourceExhausted):
            await world.chat.GetChat(pb.GetChatRequest(user_id="eve", chat_id=made_up(1)[0]))
        assert (await world.send(mine, user_id="eve")).HasField("accepted")
        assert codes(await join(world, "frank", made_up(10))) == {"NOT_A_MEMBER": 10}


async def test_a_member_whom_redis_forgot_pays_nothing(servers: Servers) -> None:
    async with open_world(servers, chat_stranger_rate=0.01, chat_stranger_burst=10) as world:
        chats = [await world.direct("alice", f"peer-{number}") for number in range(8)]
        for _ in range(4):
            await world.redis.delete(*map(keys.members, chats))
            assert codes(await join(world, "alice", chats)) == {"joined": 8}


async def test_who_was_refused_and_is_added_then_may_join_at_once(world: World) -> None:
    chat_id = await world.group("alice", "bob")
    assert codes(await join(world, "eve", [chat_id])) == {"NOT_A_MEMBER": 1}
    assert (await world.send(chat_id, user_id="eve")).HasField("error")
    adding = pb.AddMembersRequest(user_id="alice", chat_id=chat_id, member_ids=["eve"])
    await world.chat.AddMembers(adding)
    assert codes(await join(world, "eve", [chat_id])) == {"joined": 1}
    assert (await world.send(chat_id, user_id="eve")).HasField("accepted")
    removing = pb.RemoveMemberRequest(user_id="alice", chat_id=chat_id, member_id="eve")
    await world.chat.RemoveMember(removing)
    assert codes(await join(world, "eve", [chat_id])) == {"NOT_A_MEMBER": 1}


async def test_chats_that_a_user_names_have_a_rate_by_their_number_and_the_users_bytes(
    servers: Servers,
) -> None:
    async with open_world(servers, chat_join_rate=0.1, chat_join_burst=10) as world:
        mine = await world.direct("alice", "bob")
        assert codes(await join(world, "alice", [mine] * 6)) == {"joined": 6}
        with pytest.raises(ResourceExhausted) as refused:
            await join(world, "alice", [mine] * 6)
        assert (refused.value.code, refused.value.retry_after_ms > 10_000) == ("RATE_LIMITED", True)
        with pytest.raises(ResourceExhausted):
            await world.read(*[(mine, 0, 0)] * 5, user_id="alice")
        told = pb.JoinChatsRequest(user_id="alice", chat_ids=[mine] * 20)  # by OpenSession, say
        assert codes((await world.chat.JoinChats(told)).results) == {"joined": 20}
        long_id = "\U0001f600" * 127  # 508 bytes: 4 for each chat
        await join(world, long_id, [mine] * 2)
        with pytest.raises(ResourceExhausted):
            await join(world, long_id, [mine])


async def test_ids_of_no_chat_are_refused_without_asking_anybody() -> None:
    nowhere = cast("MembershipLookup", None)
    states = MembershipStates(cast("ChatLog", None), cast("Store", None), nowhere)
    answers = await states.of("eve", ["", "no id", "C" * 24, "c" * 25])
    assert all(isinstance(answer, PermissionDenied) for answer in answers)
