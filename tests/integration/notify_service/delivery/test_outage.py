"""MongoDB goes away in the middle of attempts: none is lost, and none is sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from devstack.servers import MongoServer
from mesh.errors import Unavailable, unavailable
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.domain.delivery import AttemptOutcome, Delivery
from tests.integration.notify_service.delivery.deliveries import (
    PACE,
    RecordingHandler,
    engine,
    new_deliveries,
    settled,
    store_at,
)
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def own_mongo() -> Iterator[MongoServer]:
    """A server that a test may stop."""
    with MongoServer() as server:
        yield server


async def test_how_attempts_ended_is_kept_through_an_outage_and_nobody_sends_again(
    own_mongo: MongoServer,
) -> None:
    go_on = asyncio.Event()

    async def provider(delivery: Delivery) -> str:
        await go_on.wait()
        return delivery.what.key

    handler = RecordingHandler(provider)
    # Claims run out while MongoDB is away; the attempts themselves are over by then.
    pace = replace(PACE, send_seconds=1.0, lease_margin_seconds=0.5, careful_seconds=3.0)
    async with open_mongo(own_mongo.url) as mongo:
        await mongo.prepare(make_indexes)
        store = MongoDeliveries(mongo)
        async with engine(store, handler, pace=pace) as deliver, engine(store, handler, pace=pace):
            await deliver.add(new_deliveries(8))
            await eventually(lambda: sum(handler.under_way.values()) == 8)
            own_mongo.kill()
            go_on.set()
            await handler.until_concluded(8)
            with pytest.raises(Unavailable):
                await deliver.add(new_deliveries(1))
            await asyncio.sleep(
                pace.send_seconds + pace.lease_margin_seconds
            )  # what is waited for is time itself
            own_mongo.start()
            await settled(mongo, 8)
            later = new_deliveries(3)
            await deliver.add(later)
            await deliver.add(later)
            await settled(mongo, 11)
    assert set(handler.sent.values()) == {1}
    assert handler.tried == handler.sent
    assert {attempt.outcome for attempt in handler.concluded} == {AttemptOutcome.SENT}


async def test_a_server_that_hangs_costs_time_and_nothing_else(own_mongo: MongoServer) -> None:
    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        await asyncio.sleep(0.02)
        return ""

    handler = RecordingHandler(provider)
    # Longer than the driver waits for an answer, as in production.
    pace = replace(PACE, send_seconds=0.5, lease_margin_seconds=3.5, careful_seconds=2.0)
    async with open_mongo(own_mongo.url) as mongo:
        await mongo.prepare(make_indexes)
        store = MongoDeliveries(mongo)
        async with engine(store, handler, pace=pace) as deliver, engine(store, handler, pace=pace):
            await deliver.add(new_deliveries(100))
            await handler.until_sent(20)
            own_mongo.pause()
            try:
                await asyncio.sleep(pace.send_seconds + pace.lease_margin_seconds)  # for claims to run out
            finally:
                own_mongo.resume()
            await settled(mongo, 100)
    assert set(handler.tried.values()) == {1}
    assert len(handler.tried) == 100


async def test_a_killed_server_forgets_nothing_that_was_added(own_mongo: MongoServer) -> None:
    handler, new = RecordingHandler(), new_deliveries(60)
    pace = replace(PACE, send_seconds=0.5, lease_margin_seconds=0.5)
    async with open_mongo(own_mongo.url) as mongo:
        await mongo.prepare(make_indexes)
        store = MongoDeliveries(mongo)
        await store.add(new)
        async with engine(store, handler, pace=pace):
            await handler.until_sent(10)
            own_mongo.kill()
            own_mongo.start()
            await settled(mongo, 60)
    assert handler.sent.keys() == {each.key for each in new}
    assert set(handler.sent.values()) == {1}, "the process that made the attempts did not die"


async def test_what_may_have_been_claimed_when_the_answer_was_lost_does_not_wait(mongo_url: str) -> None:
    class Losing(MongoDeliveries):
        lost = 0

        async def claim(
            self, deliveries: Sequence[Delivery], holder: str, at_ms: int, until_ms: int
        ) -> list[Delivery]:
            claimed = await super().claim(deliveries, holder, at_ms, until_ms)
            if claimed and not self.lost:
                self.lost = len(claimed)
                raise unavailable("mongodb")
            return claimed

    handler = RecordingHandler()
    pace = replace(PACE, lease_margin_seconds=3600.0)
    async with store_at(mongo_url) as (_, mongo):
        store = Losing(mongo)
        async with engine(store, handler, pace=pace) as deliver:
            await deliver.add(new_deliveries(5))
            await settled(mongo, 5)
    assert store.lost > 0
    assert {attempt.delivery.attempt for attempt in handler.concluded} == {1}, "it was not an attempt"
