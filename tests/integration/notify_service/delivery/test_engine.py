"""The engine on a real store: everything arrives, nothing twice, and no provider holds up another."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mesh.errors import unavailable
from notify_service.adapters.mongo.database import to_time
from notify_service.domain.delivery import AttemptOutcome, Delivery, Lane
from notify_service.ports import SendDelayedError, SendRefusedError, TargetGoneError
from tests.integration.notify_service.delivery.deliveries import (
    LIMITS,
    PACE,
    Clock,
    RecordingHandler,
    engine,
    new_deliveries,
    settled,
    store_at,
)
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notify_service.domain.delivery import Attempt


async def test_each_is_delivered_once_however_often_it_is_added(mongo_url: str) -> None:
    handler, new = RecordingHandler(), new_deliveries(40)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler) as deliver:
        await deliver.add(new)
        await deliver.add(new[10:] + new_deliveries(10))
        await settled(mongo, 50)
        await deliver.add(new)
        await settled(mongo, 50)
        assert set(handler.tried.values()) == {1}
        assert len(handler.ended(AttemptOutcome.SENT)) == 50
        kept = await mongo.collection("deliveries").find_one({"payload": {"$exists": True}})
        assert kept is None, "what was said is forgotten once it is delivered"


async def test_two_engines_side_by_side_never_send_twice(mongo_url: str) -> None:
    async def slow(delivery: Delivery) -> str:  # noqa: ARG001
        await asyncio.sleep(random.random() * 0.02)
        return ""

    one, other, new = RecordingHandler(slow), RecordingHandler(slow), new_deliveries(200)
    limits = replace(LIMITS, concurrency=8)
    async with (
        store_at(mongo_url) as (store, mongo),
        engine(store, one, limits=limits) as first,
        engine(store, other, limits=limits) as second,
    ):
        await asyncio.gather(first.add(new), second.add(new))
        await settled(mongo, 200)
        tried = one.tried + other.tried
        assert len(tried) == 200
        assert set(tried.values()) == {1}
        assert min(one.tried.total(), other.tried.total()) > 20, "both worked"


async def test_what_a_killed_engine_held_is_delivered_by_another_after_its_claim_ran_out(
    mongo_url: str,
) -> None:
    hangs = RecordingHandler(lambda _: asyncio.Event().wait())  # type: ignore[arg-type, return-value]
    takes, clock, new = RecordingHandler(), Clock(), new_deliveries(6)
    limits = replace(LIMITS, unearned=4)
    async with store_at(mongo_url) as (store, mongo):
        async with engine(store, hangs, limits=limits, clock=clock) as killed:
            await killed.add(new)
            await eventually(lambda: hangs.tried.total() == 4)
        async with engine(store, takes, clock=clock):
            await eventually(lambda: takes.sent.total() == 2)
            assert not takes.tried.keys() & hangs.tried.keys(), "its claims hold"
            clock.advance(PACE.send_seconds + PACE.lease_margin_seconds)
            await settled(mongo, 6)
            assert set(takes.sent.values()) == {1}
            attempts = {attempt.delivery.what.key: attempt.delivery.attempt for attempt in takes.concluded}
            assert all(attempts[key] == 2 for key in hangs.tried), "one that was cut off counts"


async def test_a_hanging_attempt_ends_in_time_and_is_tried_again(mongo_url: str) -> None:
    async def provider(delivery: Delivery) -> str:
        if delivery.attempt == 1:
            await asyncio.Event().wait()
        return "taken at last"

    handler, clock = RecordingHandler(provider), Clock()
    async with (
        store_at(mongo_url) as (store, mongo),
        engine(store, handler, pace=replace(PACE, send_seconds=0.05), clock=clock) as deliver,
    ):
        await deliver.add(new_deliveries(1))
        await eventually(lambda: handler.concluded)
        [first] = handler.concluded
        assert (first.outcome, first.detail) == (AttemptOutcome.DELAYED, "no answer in 0.05 s")
        clock.advance(3)
        await settled(mongo, 1)
        assert handler.concluded[-1].detail == "taken at last"


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (SendRefusedError("400 Bad\r\nRequest \ud800"), AttemptOutcome.FAILED, "400 Bad Request ?"),
        (TargetGoneError("410 Gone"), AttemptOutcome.GONE, "410 Gone"),
        (
            SendDelayedError("503", retry_after_seconds=3600),
            AttemptOutcome.FAILED,
            "given up after 1 attempt: 503",
        ),
    ],
)
async def test_an_answer_that_is_final_is_the_end(
    mongo_url: str, error: Exception, outcome: AttemptOutcome, words: str
) -> None:
    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        raise error

    handler = RecordingHandler(provider)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler) as deliver:
        await deliver.add(new_deliveries(1, seconds=60))
        await settled(mongo, 1)
        [attempt] = handler.concluded
        assert (attempt.outcome, attempt.detail) == (outcome, words)


async def test_a_defect_spares_its_neighbours_and_does_not_go_on_for_ever(mongo_url: str) -> None:
    clock, new = Clock(), new_deliveries(5)

    async def provider(delivery: Delivery) -> str:
        if delivery.what.key == new[0].key:
            raise KeyError("a defect")
        return ""

    handler = RecordingHandler(provider)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler, clock=clock) as deliver:
        await deliver.add(new)
        for tried in range(1, 5):
            await handler.until_tried(new[0].key, tried)
            clock.advance(40)
        await settled(mongo, 5)
        assert handler.sent.total() == 4
        [failed] = handler.ended(AttemptOutcome.FAILED)
        assert (failed.detail, failed.delivery.attempt) == ("a defect of this service: KeyError", 5)


async def test_what_runs_out_of_time_is_given_up_with_the_last_words(mongo_url: str) -> None:
    clock = Clock()

    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        raise SendDelayedError("502 Bad Gateway", retry_after_seconds=60)

    handler = RecordingHandler(provider)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler, clock=clock) as deliver:
        tried = new_deliveries(1, "fcm", clock=clock, seconds=300)
        await deliver.add(tried)
        await eventually(lambda: handler.concluded)
        await deliver.add(new_deliveries(1, "fcm", clock=clock, seconds=30))
        clock.advance(1000)
        await settled(mongo, 2)
        details = {attempt.delivery.what.key == tried[0].key: attempt for attempt in handler.concluded}
        assert details[True].detail == "given up after 1 attempt: 502 Bad Gateway"
        assert details[True].delivery.attempt == 1
        assert details[False].detail == "given up: its time was over before an attempt could be made"
        assert handler.tried.total() == 1, "no attempt begins after the time is over"


async def test_an_attempt_that_cannot_be_made_does_not_count(mongo_url: str) -> None:
    away = True

    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        if away:
            raise unavailable("mongodb")
        return ""

    handler = RecordingHandler(provider)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler) as deliver:
        await deliver.add(new_deliveries(1))
        await eventually(lambda: handler.tried.total() >= 2)
        away = False
        await settled(mongo, 1)
        [attempt] = handler.concluded
        assert attempt.delivery.attempt == 1


async def test_a_lane_that_cannot_conclude_holds_up_no_other_and_is_not_tried_again(mongo_url: str) -> None:
    away = True

    class Stuck(RecordingHandler):
        async def conclude(self, attempts: Sequence[Attempt]) -> None:
            if away and attempts[0].delivery.what.lane is Lane.HOOK:
                raise unavailable("rabbitmq")
            await super().conclude(attempts)

    handler, clock = Stuck(), Clock()
    pace = replace(PACE, careful_seconds=0.0)
    async with (
        store_at(mongo_url) as (store, mongo),
        engine(store, handler, lanes=(Lane.HOOK, Lane.DEVICE), clock=clock, pace=pace) as deliver,
        engine(store, handler, lanes=(Lane.HOOK,), clock=clock, pace=pace),
    ):
        await deliver.add(new_deliveries(3, "hook:a", Lane.HOOK) + new_deliveries(3))
        await eventually(lambda: handler.sent.total() == 6 and len(handler.concluded) == 3)
        lease = timedelta(seconds=PACE.send_seconds + PACE.lease_margin_seconds)
        for _ in range(6):
            # A claim would run out every second time.
            until_then = to_time(clock()) + lease / 2
            held = {"waiting": True, "lane": "hook", "dueAt": {"$gt": until_then}}
            while await mongo.collection("deliveries").count_documents(held) != 3:
                await asyncio.sleep(0.02)
            clock.advance((lease / 2).total_seconds())
        away = False
        await settled(mongo, 6)
        assert set(handler.tried.values()) == {1}


async def test_a_defect_in_concluding_does_not_make_it_be_sent_again(mongo_url: str) -> None:
    new = new_deliveries(5)

    class Defective(RecordingHandler):
        async def conclude(self, attempts: Sequence[Attempt]) -> None:
            if any(attempt.delivery.what.key == new[2].key for attempt in attempts):
                raise KeyError("a defect")
            await super().conclude(attempts)

    handler = Defective()
    async with store_at(mongo_url) as (store, mongo), engine(store, handler) as deliver:
        await deliver.add(new)
        await settled(mongo, 5)
        assert len(handler.concluded) == 4
        assert set(handler.tried.values()) == {1}


async def test_a_drain_waits_for_what_is_under_way_and_leaves_the_rest(mongo_url: str) -> None:
    go_on = asyncio.Event()

    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        await go_on.wait()
        return ""

    handler = RecordingHandler(provider)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler) as deliver:
        await deliver.add(new_deliveries(20))
        await eventually(lambda: sum(handler.under_way.values()) == LIMITS.unearned)
        drain = asyncio.create_task(deliver.drain())
        go_on.set()
        await drain
        assert handler.tried.total() == handler.sent.total() == LIMITS.unearned
        free = {"waiting": True, "holder": {"$exists": False}, "attempt": 0}
        assert await mongo.collection("deliveries").count_documents(free) == 20 - LIMITS.unearned
        assert await mongo.collection("deliveries").count_documents({"outcome": "sent"}) == LIMITS.unearned
