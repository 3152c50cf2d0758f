"""Ending sessions: at once on the user's channel, at a renewal for who missed it, for good in the store."""

import asyncio
from typing import Any

import pytest

from chat_service.adapters.redis import keys
from mesh.clock import now_ms
from mesh.errors import InvalidArgument, Unauthenticated, Unavailable
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.user_event_pb2 import SessionsRevoked, UserEvent
from tests.integration.chat_service.scaffold import World, chat_service


async def opened(world: World, connection_id: str, *, issued_at_ms: int, user_id: str = "alice") -> None:
    await world.chat.OpenSession(
        pb.OpenSessionRequest(
            user_id=user_id, connection_id=connection_id, token_issued_at_ms=issued_at_ms, user_name="Alice"
        )
    )


async def listed(world: World, user_id: str = "alice") -> set[str]:
    return set((await world.chat.ListSessions(pb.ListSessionsRequest(user_id=user_id))).connection_ids)


async def revoke(world: World, connection_id: str = "", user_id: str = "alice") -> int:
    request = pb.RevokeSessionsRequest(user_id=user_id, connection_id=connection_id)
    return (await world.chat.RevokeSessions(request)).revoked


async def is_revoked(world: World, issued_at_ms: int, user_id: str = "alice") -> bool:
    request = pb.CheckRevocationRequest(user_id=user_id, token_issued_at_ms=issued_at_ms)
    return (await world.chat.CheckRevocation(request)).revoked


async def renewed(world: World, **issued_at_ms: int) -> list[str]:
    sessions = [
        pb.Session(user_id="alice", connection_id=connection_id, token_issued_at_ms=at)
        for connection_id, at in issued_at_ms.items()
    ]
    answer = await world.chat.RenewSessions(pb.RenewSessionsRequest(sessions=sessions))
    return [session.connection_id for session in answer.revoked]


async def told(pubsub: Any) -> SessionsRevoked:
    async with asyncio.timeout(30):
        async for item in pubsub.listen():
            if item["type"] == "message":
                event = UserEvent.FromString(item["data"])
                if event.HasField("sessions_revoked"):
                    return event.sessions_revoked
    raise AssertionError


async def test_one_session_ends_and_the_others_stay(world: World) -> None:
    before = now_ms()
    await opened(world, "phone", issued_at_ms=before)
    await opened(world, "laptop", issued_at_ms=before)
    assert await listed(world) == {"phone", "laptop"}
    async with world.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.user_channel("alice"))
        assert await revoke(world, "phone") == 1
        event = await told(pubsub)
    assert event == SessionsRevoked(connection_id="phone")
    # An edge that did not hear it finds out, and does not keep the session alive.
    assert await renewed(world, phone=before, laptop=before) == ["phone"]
    assert not await is_revoked(world, before)
    assert await revoke(world, "unknown") == 0
    await world.chat.CloseSession(
        pb.CloseSessionRequest(session=pb.Session(user_id="alice", connection_id="phone"))
    )
    assert await listed(world) == {"laptop"}


async def test_all_sessions_end_and_their_tokens_open_none(world: World) -> None:
    before = now_ms()
    await opened(world, "phone", issued_at_ms=before)
    await opened(world, "laptop", issued_at_ms=0)
    async with world.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.user_channel("alice"))
        assert await revoke(world) == 2
        event = await told(pubsub)
    assert event.connection_id == ""
    assert before <= event.issued_before_ms <= now_ms()
    later = event.issued_before_ms
    assert await renewed(world, phone=before, laptop=0, tablet=later) == ["phone", "laptop"]
    assert [await is_revoked(world, at) for at in (0, before - 60_000, later - 1, later)] == [
        True,
        True,
        True,
        False,
    ]
    assert not await is_revoked(world, before, user_id="bob")
    for issued_at_ms in (0, later - 1):
        with pytest.raises(Unauthenticated) as refused:
            await opened(world, "again", issued_at_ms=issued_at_ms)
        assert refused.value.reason == ErrorReason.ERROR_REASON_SESSION_REVOKED
    await opened(world, "fresh", issued_at_ms=later)
    assert "fresh" in await listed(world)


@pytest.mark.parametrize("ahead_s", [-9, -2, 0, 2, 5, 9])
async def test_what_was_seen_is_revoked_whatever_its_time(world: World, ahead_s: int) -> None:
    issued = now_ms() // 1_000 * 1_000 + ahead_s * 1_000
    await opened(world, "phone", issued_at_ms=issued)
    assert not await is_revoked(world, issued + 1_000, user_id="bob")
    async with world.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.user_channel("alice"))
        await revoke(world)
        assert (await told(pubsub)).issued_before_ms > issued, "edges end its connection"
    assert await renewed(world, phone=issued) == ["phone"]
    assert await is_revoked(world, issued)
    with pytest.raises(Unauthenticated):
        await opened(world, "phone", issued_at_ms=issued)
    await world.redis.flushall()
    assert await is_revoked(world, issued), "the store knows it too"
    # The next sign-in, a second later by the same clock, is good.
    assert not await is_revoked(world, issued + 1_000)
    await opened(world, "phone", issued_at_ms=issued + 1_000)


async def test_a_token_that_only_rest_showed_is_revoked_too(world: World) -> None:
    ahead = now_ms() + 7_000
    assert not await is_revoked(world, ahead)
    await revoke(world)
    assert await is_revoked(world, ahead)


async def test_a_sign_in_at_a_provider_that_is_behind_is_good(world: World) -> None:
    await opened(world, "phone", issued_at_ms=now_ms() - 3_600_000)
    await revoke(world)
    behind = now_ms() - 3_000
    assert not await is_revoked(world, behind)
    await opened(world, "phone", issued_at_ms=behind)
    assert await renewed(world, phone=behind) == []
    assert await is_revoked(world, now_ms() - 3_600_000)


async def test_what_leaves_no_doubt_is_not_noted(world: World) -> None:
    await opened(world, "phone", issued_at_ms=now_ms() - 3_600_000)
    assert not await world.redis.exists(keys.fresh_token("alice"))
    await opened(world, "laptop", issued_at_ms=now_ms())
    assert 0 < await world.redis.ttl(keys.fresh_token("alice")) <= 31


async def test_an_emptied_redis_does_not_forget(world: World) -> None:
    old = now_ms() - 11_000
    await revoke(world)
    await world.redis.flushall()
    assert await is_revoked(world, old)
    await world.redis.flushall()
    assert await renewed(world, phone=old) == ["phone"]
    await world.redis.flushall()
    with pytest.raises(Unauthenticated):
        await opened(world, "phone", issued_at_ms=old)
    assert not await is_revoked(world, now_ms())


async def test_a_dead_store_does_not_delay_the_end_of_sessions(world: World) -> None:
    old = now_ms() - 11_000
    assert not await is_revoked(world, old)
    async with chat_service(world.servers, "127.0.0.1:1") as (cut_off, _):
        # What Redis was told by the store is enough to let users in meanwhile.
        check = pb.CheckRevocationRequest(user_id="alice", token_issued_at_ms=old)
        assert not (await cut_off.CheckRevocation(check)).revoked
        with pytest.raises(Unavailable):
            await cut_off.RevokeSessions(pb.RevokeSessionsRequest(user_id="alice"))
        assert (await cut_off.CheckRevocation(check)).revoked
        with pytest.raises(Unavailable):
            await cut_off.CheckRevocation(pb.CheckRevocationRequest(user_id="stranger"))
        session = pb.Session(user_id="stranger", connection_id="phone")
        answer = await cut_off.RenewSessions(pb.RenewSessionsRequest(sessions=[session]))
        assert not answer.revoked
    assert await is_revoked(world, old)


@pytest.mark.parametrize(("user_id", "connection_id"), [("", ""), ("u" * 129, ""), ("alice", "c" * 65)])
async def test_bad_input_is_refused(world: World, user_id: str, connection_id: str) -> None:
    with pytest.raises(InvalidArgument):
        await revoke(world, connection_id, user_id)
