"""Sessions and presence on a real Redis."""

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from chat_service.adapters.redis import keys
from chat_service.adapters.redis.edge_leases import RedisEdgeLeases
from chat_service.adapters.redis.presence import RedisPresence
from chat_service.domain.model import Session
from chat_service.use_cases.watch_edges import WatchEdges
from mesh.clock import now_ms
from mesh.errors import ResourceExhausted
from mesh.redis import open_redis
from parley.chat.v1 import chat_service_pb2 as pb
from parley.persist.v1 import persist_service_pb2 as persist_pb
from persist_service.domain.notifications import Activity
from persist_service.stores.presence import Presence as RedisActivity
from tests.integration.chat_service.scaffold import World
from tests.support.polling import eventually


def presence(redis: Redis, *, grace_ms: int = 0) -> RedisPresence:
    return RedisPresence(redis, sessions_per_user=3, grace_ms=grace_ms)


async def departed(who: RedisPresence) -> list[str]:
    return await eventually(lambda: who.departed(10), "somebody is gone")


async def test_a_user_is_there_from_the_first_session_to_the_last(redis: Redis) -> None:
    who = presence(redis)
    phone, laptop = Session("alice", "phone"), Session("alice", "laptop")
    assert await who.open(phone)
    assert not await who.open(laptop)
    await who.close(phone)
    assert await who.online(["alice", "bob"]) == ["alice"]
    assert await who.departed(10) == []
    await who.close(laptop)
    assert await who.online(["alice"]) == []
    assert await departed(who) == ["alice"]
    assert await who.departed(10) == []
    assert await who.open(phone)


@pytest.mark.parametrize("user_id", ["alice", "a}b", "{", "}", "}alice", "{}alice"])
async def test_on_a_cluster_all_keys_of_a_user_are_in_one_slot(redis_cluster: str, user_id: str) -> None:
    """Whatever the customer's identity system calls the user."""
    async with open_redis(SecretStr(redis_cluster)) as redis:
        who, session = presence(redis), Session(user_id, "phone", last_active_ms=now_ms())
        assert await who.open(session)
        assert await who.renew([session]) == []
        assert await who.online([user_id]) == [user_id]
        assert await who.sessions(user_id) == ["phone"]
        assert await RedisActivity(redis).last_active([user_id]) == {
            user_id: Activity(session.last_active_ms)
        }
        await who.close(session)
        assert await departed(who) == [user_id]


async def test_who_comes_back_within_the_grace_time_was_never_gone(redis: Redis) -> None:
    who = presence(redis, grace_ms=60_000)
    await who.open(Session("alice", "page"))
    await who.close(Session("alice", "page"))
    assert not await who.open(Session("alice", "page-again"))
    assert await who.departed(10) == []


async def test_sessions_of_a_dead_edge_end_by_themselves(redis: Redis) -> None:
    who = presence(redis)
    await who.open(Session("alice", "lost"))
    # What five minutes without a renewal leave behind.
    await redis.zadd(keys.sessions("alice"), {"lost": 1})
    await redis.zadd(keys.PRESENCE_INDEX, {"alice": 1})
    assert await departed(who) == ["alice"]


async def test_a_renewal_keeps_a_session_and_revives_a_forgotten_one(redis: Redis) -> None:
    who = presence(redis)
    session = Session("alice", "page")
    await who.open(session)
    assert await who.renew([session]) == []
    await redis.flushall()
    assert await who.renew([session, Session("alice", "other")]) == ["alice"]
    assert await who.online(["alice"]) == ["alice"]


async def test_the_latest_activity_of_all_sessions_counts(redis: Redis) -> None:
    who = presence(redis)

    async def active() -> int:
        return int(await redis.get(keys.online("alice")) or 0)

    started = now_ms()
    phone, laptop = Session("alice", "phone"), Session("alice", "laptop")
    await who.open(replace(phone, last_active_ms=started - 5_000))
    assert await active() == started - 5_000
    await who.renew([replace(phone, last_active_ms=started - 9_000), replace(laptop, last_active_ms=0)])
    assert await active() == started - 5_000
    await who.renew([replace(laptop, last_active_ms=started - 1_000)])
    assert await active() == started - 1_000
    await who.renew([replace(phone, last_active_ms=started + 3_600_000)])  # its edge's clock is ahead
    assert started <= await active() <= now_ms()
    await who.close(phone)
    await who.close(laptop)
    assert await active() == 0


async def test_whoever_is_busy_where_not_all_chats_come_is_told_apart(redis: Redis) -> None:
    who, at_ms = presence(redis), now_ms()
    phone = Session("alice", "phone", last_active_ms=at_ms - 3_000)
    laptop = Session("alice", "laptop", last_active_ms=at_ms - 2_000)

    async def active() -> Activity:
        return (await RedisActivity(redis).last_active(["alice"]))["alice"]

    await who.open(phone)
    assert await active() == Activity(at_ms - 3_000)
    await who.renew([replace(phone, partial=True)])  # some chats were left there
    assert await active() == Activity(at_ms - 3_000, partial=True)
    await who.renew([laptop])
    assert await active() == Activity(at_ms - 2_000)
    await who.renew([replace(phone, partial=True)])
    assert await active() == Activity(at_ms - 2_000), "the laptop gets all, and was used later"
    await who.renew([replace(phone, last_active_ms=at_ms - 1_000, partial=True)])
    assert await active() == Activity(at_ms - 1_000, partial=True)
    assert await who.online(["alice"]) == ["alice"]


@pytest.mark.parametrize("stored", [None, "1", "nonsense"])
async def test_who_is_there_and_does_nobody_knows_what_counts_as_active(
    redis: Redis, stored: str | None
) -> None:
    who = presence(redis)
    if stored is not None:
        await redis.set(keys.online("alice"), stored)
    started = now_ms()
    await who.renew([Session("alice", "phone")])  # from an edge that tells no activity
    assert (await RedisActivity(redis).last_active(["alice", "bob"])).keys() == {"alice"}
    assert started <= (await RedisActivity(redis).last_active(["alice"]))["alice"].last_ms <= now_ms()


async def test_who_leaves_is_told_to_be_gone_also_if_redis_had_forgotten(redis: Redis) -> None:
    who = presence(redis)
    await who.open(Session("alice", "page"))
    await redis.flushall()
    await who.close(Session("alice", "page"))
    assert await departed(who) == ["alice"]


async def test_sessions_end_with_the_lease_of_their_edge_and_no_others(redis: Redis) -> None:
    who, leases = presence(redis), RedisEdgeLeases(redis)
    for edge_id in ("dead", "alive"):
        assert not await leases.keep(edge_id)
        assert await leases.keep(edge_id)
    for number in range(3):
        await who.open(Session("alice", f"lost-{number}", edge_id="dead"))
    await who.open(Session("bob", "lost", edge_id="dead"))
    await who.open(Session("bob", "kept", edge_id="alive"))
    await who.open(Session("carol", "without"))
    await who.close(Session("alice", "lost-2", edge_id="dead"))
    watch = asyncio.create_task(WatchEdges(leases, who, interval_seconds=0.02, patience_seconds=0.1).run())
    assert await who.departed(10) == []
    await redis.zadd(keys.EDGES_INDEX, {"dead": now_ms() - 1})  # as 10 s without a renewal leave it
    assert await departed(who) == ["alice"]
    watch.cancel()
    assert await who.sessions("bob") == ["kept"]
    assert await who.online(["alice", "bob", "carol"]) == ["bob", "carol"]
    for number in range(2):
        await who.open(Session("alice", str(number), edge_id="alive"))  # they count no more
    assert not await leases.keep("dead")  # it is told, if it comes back


async def test_a_lease_that_is_kept_within_the_patience_ends_nothing(redis: Redis) -> None:
    who, leases = presence(redis), RedisEdgeLeases(redis)
    await who.open(Session("alice", "page", edge_id="slow"))
    watch = asyncio.create_task(WatchEdges(leases, who, interval_seconds=0.01, patience_seconds=3_600).run())
    for _ in range(5):
        await redis.zadd(keys.EDGES_INDEX, {"slow": now_ms() - 1})
        assert await leases.lapsed(10) == ["slow"]
        assert await leases.keep("slow")
    watch.cancel()
    assert await who.sessions("alice") == ["page"]


async def test_an_edge_that_is_back_while_its_sessions_end_renews_them_all(redis: Redis) -> None:
    who, leases = presence(redis), RedisEdgeLeases(redis)
    await who.open(Session("alice", "page", edge_id="back"))
    await leases.keep("back")
    await WatchEdges(leases, who, interval_seconds=1, patience_seconds=1)._end_sessions("back")
    assert not await leases.keep("back")


async def test_only_one_of_many_lookers_is_told(redis: Redis) -> None:
    who = presence(redis)
    await who.open(Session("alice", "page"))
    await who.close(Session("alice", "page"))
    told = await asyncio.gather(*(who.departed(10) for _ in range(5)))
    assert [user for users in told for user in users] == ["alice"]


async def test_sessions_are_limited_per_user_and_a_repeat_is_none_more(redis: Redis) -> None:
    who = presence(redis)
    for number in range(3):
        await who.open(Session("alice", str(number)))
    await who.open(Session("alice", "1"))
    with pytest.raises(ResourceExhausted) as refused:
        await who.open(Session("alice", "3"))
    assert refused.value.code == "TOO_MANY_CONNECTIONS"
    await who.open(Session("bob", "3"))


async def test_what_the_store_tells_of_activity_is_what_the_edge_told(world: World) -> None:
    chat_id = await world.direct()

    async def active() -> int:
        request = persist_pb.GetAttentionRequest(
            queries=[persist_pb.MembershipQuery(chat_id=chat_id, user_id="bob")]
        )
        return (await world.persist.stub.GetAttention(request)).attentions[0].last_active_ms

    assert await active() == 0
    before = now_ms()
    opening = pb.OpenSessionRequest(user_id="bob", connection_id="phone", last_active_ms=before - 500_000)
    await world.chat.OpenSession(opening)  # as an edge opens again what was open
    assert await active() == before - 500_000
    await world.chat.OpenSession(pb.OpenSessionRequest(user_id="bob", connection_id="laptop"))
    opened = await active()
    assert before <= opened <= now_ms()
    idle = pb.Session(user_id="bob", connection_id="phone", last_active_ms=before - 400_000)
    await world.chat.RenewSessions(pb.RenewSessionsRequest(sessions=[idle]))
    assert await active() == opened
