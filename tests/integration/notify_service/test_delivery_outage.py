"""MongoDB goes away in the middle of attempts: none is lost, and none is sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from devstack.servers import MongoServer
from mesh.errors import Unavailable
from notify_service.adapters.mongo.database import ensure_indexes, open_database
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.domain.delivery import AttemptOutcome, Delivery
from tests.integration.notify_service.deliveries import (
    PACE,
    RecordingCourier,
    engine,
    new_deliveries,
    settled,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    courier = RecordingCourier(provider)
    # Claims run out while MongoDB is away; the attempts themselves are over by then.
    pace = replace(PACE, send_seconds=1.0, lease_margin_seconds=0.5, careful_seconds=3.0)
    async with open_database(own_mongo.url) as database:
        await ensure_indexes(database)
        store = MongoDeliveries(database)
        async with engine(store, courier, pace=pace) as deliver, engine(store, courier, pace=pace):
            await deliver.add(new_deliveries(8))
            await until(lambda: sum(courier.under_way.values()) == 8)
            own_mongo.kill()
            go_on.set()
            await courier.until_concluded(8)
            with pytest.raises(Unavailable):
                await deliver.add(new_deliveries(1))
            await asyncio.sleep(
                pace.send_seconds + pace.lease_margin_seconds
            )  # what is waited for is time itself
            own_mongo.start()
            await settled(database, 8)
            later = new_deliveries(3)
            await deliver.add(later)
            await deliver.add(later)
            await settled(database, 11)
    assert set(courier.sent.values()) == {1}
    assert courier.tried == courier.sent
    assert {attempt.outcome for attempt in courier.concluded} == {AttemptOutcome.SENT}


async def test_a_killed_server_forgets_nothing_that_was_added(own_mongo: MongoServer) -> None:
    courier, new = RecordingCourier(), new_deliveries(60)
    pace = replace(PACE, send_seconds=0.5, lease_margin_seconds=0.5)
    async with open_database(own_mongo.url) as database:
        await ensure_indexes(database)
        store = MongoDeliveries(database)
        await store.add(new)
        async with engine(store, courier, pace=pace):
            await courier.until_sent(10)
            own_mongo.kill()
            own_mongo.start()
            await settled(database, 60)
    assert courier.sent.keys() == {each.key for each in new}
    assert set(courier.sent.values()) == {1}, "the process that made the attempts did not die"
