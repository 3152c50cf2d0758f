"""Deliveries and the ledger in MongoDB: who holds what, what is kept for how long, how it is looked up."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from mesh.clock import now_ms
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo, to_time
from notify_service.adapters.mongo.delivery_documents import REPLAY_MS
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.delivery.provider_limiter import Scope
from notify_service.delivery.upkeep import Upkeep
from notify_service.domain.delivery import Attempt, AttemptOutcome, Lane
from tests.integration.notify_service.delivery.deliveries import new_deliveries, store_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notify_service.adapters.mongo.deliveries import MongoDeliveries
    from notify_service.domain.delivery import Delivery

NOW = now_ms()
LANES = tuple(Lane)


def at_now() -> int:
    return NOW


async def due(store: MongoDeliveries, at_ms: int = NOW, **scope: Any) -> list[Delivery]:
    return await store.due(at_ms, 100, Scope(**scope), LANES, take_over=True)


def sent(deliveries: Sequence[Delivery], at_ms: int = NOW) -> list[Attempt]:
    return [Attempt(delivery, AttemptOutcome.SENT, "a receipt", at_ms) for delivery in deliveries]


async def test_what_is_due_comes_by_provider_as_far_as_it_is_asked_for(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        for name in ("c", "a", "b"):
            await store.add(new_deliveries(2, name, clock=at_now))
        await store.add(new_deliveries(1, "mail", Lane.EMAIL, clock=at_now))

        async def names(**scope: Any) -> str:
            return "".join(delivery.what.provider[0] for delivery in await due(store, **scope))

        assert await names() == "aabbccm"
        assert await names(without=["b"]) == "aaccm"
        assert await names(only=["c", "b"]) == "bbcc"
        assert await names(only=[]) == ""
        assert await names(after="a") == "bbccm"
        assert await names(after="a", without=["b"]) == "ccm"
        assert await names(after="b", only=["b", "c"]) == "cc"
        assert await names(newest_first=True) == "mccbbaa"
        hooks = await store.due(NOW, 100, Scope(), [Lane.EMAIL], take_over=True)
        assert [delivery.what.provider for delivery in hooks] == ["mail"]
        assert await due(store, NOW - 1) == []


async def test_what_became_due_last_can_come_first(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        for age_ms in (2, 0, 1):
            await store.add(new_deliveries(1, clock=lambda age_ms=age_ms: NOW - age_ms))  # type: ignore[misc]
        for newest_first, ages in ((False, [2, 1, 0]), (True, [0, 1, 2])):
            found = await due(store, newest_first=newest_first)
            assert [NOW - delivery.what.created_at_ms for delivery in found] == ages


async def test_of_two_who_claim_one_gets_it(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        await store.add(new_deliveries(10, clock=at_now))
        seen = await due(store)
        first = await store.claim(seen[:6], "one", NOW, NOW + 1000)
        second = await store.claim(seen[3:], "two", NOW, NOW + 1000)
        assert [delivery.attempt for delivery in first] == [1] * 6
        assert {delivery.id for delivery in second} == {delivery.id for delivery in seen[6:]}
        assert await due(store) == []
        assert await store.due(NOW + 1000, 100, Scope(), LANES, take_over=False) == []
        abandoned = await due(store, NOW + 1000)
        assert len(abandoned) == 10
        assert await store.claim(seen, "late", NOW + 1000, NOW + 2000) == [], "what was read is out of date"
        taken_over = await store.claim(abandoned, "three", NOW + 1000, NOW + 2000)
        assert {delivery.attempt for delivery in taken_over} == {2}


async def test_what_a_holder_says_late_counts_where_it_is_final(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, mongo):
        await store.add(new_deliveries(2, clock=at_now))
        first = await store.claim(await due(store), "one", NOW, NOW + 1000)
        second = await store.claim(await due(store, NOW + 1000), "two", NOW + 1000, NOW + 2000)
        assert len(second) == 2
        await store.record(
            [*sent(first[:1]), Attempt(first[1], AttemptOutcome.DELAYED, "503", NOW, NOW + 1)], "one"
        )
        waiting = [document async for document in mongo.collection("deliveries").find({"waiting": True})]
        assert [str(document["_id"]) for document in waiting] == [first[1].id]
        assert waiting[0]["holder"] == "two", "it is in other hands"


async def test_giving_back_does_not_count_and_holding_on_moves_the_end(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        await store.add(new_deliveries(2, clock=at_now))
        given, kept = await store.claim(await due(store), "one", NOW, NOW + 1000)
        await store.release([given], "one", NOW + 10)
        await store.hold([kept], "one", NOW + 9000)
        await store.hold([kept], "another", NOW)
        [again] = await due(store, NOW + 5000)
        assert (again.id, again.attempt) == (given.id, 0)
        assert len(await due(store, NOW + 9000)) == 2


async def test_what_ran_out_of_time_is_no_longer_due(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        await store.add(new_deliveries(3, clock=at_now, seconds=60))
        [held] = await store.claim((await due(store))[:1], "one", NOW, NOW + 100_000)
        assert await due(store, NOW + 60_000) == []
        expired = await store.expired(NOW + 60_000, 10, LANES)
        assert len(expired) == 2
        assert held.id not in {delivery.id for delivery in expired}, "somebody works on it"
        assert await store.expired(NOW + 59_999, 10, LANES) == []
        assert await store.expired(NOW + 60_000, 10, [Lane.HOOK]) == []


async def test_content_is_forgotten_at_once_and_of_hooks_after_a_day(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, mongo):
        await store.add(
            new_deliveries(1, clock=at_now) + new_deliveries(1, "hook:a", Lane.HOOK, clock=at_now)
        )
        await store.record(sent(await store.claim(await due(store), "one", NOW, NOW + 1000)), "one")
        with_content = {"payload": {"$exists": True}}
        [document] = [document async for document in mongo.collection("deliveries").find(with_content)]
        assert document["lane"] == "hook"
        assert await store.forget_contents(NOW + REPLAY_MS - 1) == 0
        assert await store.forget_contents(NOW + REPLAY_MS) == 1
        assert await mongo.collection("deliveries").count_documents(with_content) == 0
        assert await mongo.collection("deliveries").count_documents({}) == 2, (
            "what became of it is known for longer"
        )


async def test_a_hook_is_replayed_under_its_first_id_while_its_content_is_kept(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        new = new_deliveries(2, "hook:a", Lane.HOOK, clock=at_now, target_id="a")
        await store.add(new)
        held = await store.claim(await due(store), "one", NOW, NOW + 1000)
        assert await store.replay("a", held[0].id, NOW, NOW + 9000), "it is on its way already"
        await store.record([replace(attempt, outcome=AttemptOutcome.FAILED) for attempt in sent(held)], "one")
        assert await due(store, NOW + 1) == []
        assert await store.replay("a", held[0].id, NOW + 1, NOW + 9000)
        [again] = await due(store, NOW + 1)
        assert (again.id, again.attempt, again.what.payload) == (held[0].id, 1, b"{}")
        assert again.what.expires_at_ms == NOW + 9000
        assert not await store.replay("another", held[0].id, NOW, NOW)
        assert not await store.replay("a", new_object_id(), NOW, NOW)
        assert not await store.replay("a", "nonsense", NOW, NOW)
        await store.forget_contents(NOW + REPLAY_MS)
        assert not await store.replay("a", held[1].id, NOW, NOW + 9000)


async def test_reviving_wakes_what_failed_and_adds_what_is_new(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, mongo):
        new = new_deliveries(3, "hook:a", Lane.HOOK, clock=at_now, target_id="a")
        await store.add(new[:2])
        ok, bad = await store.claim(await due(store), "one", NOW, NOW + 1000)
        await store.record([*sent([ok]), Attempt(bad, AttemptOutcome.FAILED, "no", NOW)], "one")
        await store.forget_contents(NOW + REPLAY_MS)
        for _ in range(2):
            await store.revive([replace(each, payload=b"anew") for each in new])
        keys = {delivery.what.key: delivery for delivery in await due(store)}
        assert keys.keys() == {bad.what.key, new[2].key}
        assert keys[bad.what.key].id == bad.id
        assert keys[bad.what.key].what.payload == b"anew"
        assert await mongo.collection("deliveries").count_documents({}) == 3


async def test_what_waits_for_a_target_can_be_listed_and_given_up(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        await store.add(new_deliveries(4, "hook:a", Lane.HOOK, clock=at_now, target_id="a"))
        await store.add(new_deliveries(1, "hook:b", Lane.HOOK, clock=at_now, target_id="b"))
        seen = await store.claim(await due(store, only=["hook:a"]), "one", NOW, NOW + 1000)
        await store.record(
            [*sent(seen[:1], NOW + 5), Attempt(seen[1], AttemptOutcome.DELAYED, "503", NOW, NOW + 7)], "one"
        )
        stored = {each.id: each for each in await store.of_target("a", None, 10)}
        assert list(stored) == sorted(stored, reverse=True), "the newest first"
        assert (stored[seen[0].id].outcome, stored[seen[0].id].at_ms) == (AttemptOutcome.SENT, NOW + 5)
        delayed = stored[seen[1].id]
        assert (delayed.outcome, delayed.at_ms, delayed.last_detail, delayed.attempts) == (
            None,
            NOW + 7,
            "503",
            1,
        )
        assert len(await store.of_target("a", None, 3)) == 3
        assert len(await store.of_target("a", AttemptOutcome.SENT, 10)) == 1
        assert len(await store.of_target("a", None, 10, waiting=True)) == 3
        assert await store.give_up("a", "the subscription was removed", NOW + 9) == 3
        failed = await store.of_target("a", AttemptOutcome.FAILED, 10)
        assert {each.last_detail for each in failed} == {"the subscription was removed"}
        assert len(await due(store)) == 1


async def test_the_backlog_counts_by_lane(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        await store.add(new_deliveries(5, clock=lambda: NOW - 30_000))
        await store.add(new_deliveries(2, "hook:a", Lane.HOOK, clock=at_now))
        settled = await store.claim((await due(store, only=["log"]))[:2], "one", NOW, NOW + 1)
        await store.record(sent(settled), "one")
        backlog = await store.backlog(100)
        assert {lane.value: (each.waiting, each.oldest_created_at_ms) for lane, each in backlog.items()} == {
            "device": (3, NOW - 30_000),
            "email": (0, 0),
            "hook": (2, NOW),
        }
        assert (await store.backlog(1))[Lane.DEVICE].waiting == 1, "it counts no further than asked"
        await Upkeep(store, at_now)()
        assert REGISTRY.get_sample_value("parley_deliveries_waiting", {"lane": "device"}) == 3
        assert REGISTRY.get_sample_value("parley_deliveries_oldest_seconds", {"lane": "device"}) == 30
        assert REGISTRY.get_sample_value("parley_deliveries_oldest_seconds", {"lane": "email"}) == 0


async def test_it_is_known_whether_a_message_is_on_its_way_to_a_user(mongo_url: str) -> None:
    async with store_at(mongo_url) as (store, _):
        [new] = new_deliveries(1, clock=at_now)
        await store.add([new])
        assert await store.is_waiting(new.user_id, new.message_ids[0])
        assert not await store.is_waiting("another", new.message_ids[0])
        assert not await store.is_waiting(new.user_id, new_object_id())
        await store.record(sent(await store.claim(await due(store), "one", NOW, NOW + 1)), "one")
        assert not await store.is_waiting(new.user_id, new.message_ids[0])


async def test_the_time_to_keep_is_set_and_changed_on_start(mongo_url: str) -> None:
    database = f"test_{new_object_id()}"
    async with open_mongo(mongo_url, database) as earlier:
        await earlier.collection("ledger").create_index("userId", unique=True, name="one_per_slot")
    for days in (30.0, 0.5):
        async with open_mongo(mongo_url, database) as mongo:
            await mongo.prepare(partial(make_indexes, keep_days=days))
            for collection, field in (("ledger", "at"), ("deliveries", "settledAt")):
                index = (await mongo.collection(collection).index_information())["kept"]
                assert index["key"] == [(field, 1)]
                assert index["expireAfterSeconds"] == days * 86_400
            assert "one_per_slot" not in await mongo.collection("ledger").index_information()


@pytest.mark.parametrize("count", [500, 1201])
async def test_many_are_added_at_once(mongo_url: str, count: int) -> None:
    async with store_at(mongo_url) as (store, mongo):
        await store.add(new_deliveries(count, clock=at_now))
        assert await mongo.collection("deliveries").count_documents({"dueAt": to_time(NOW)}) == count
