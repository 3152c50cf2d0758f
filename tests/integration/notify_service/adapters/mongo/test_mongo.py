"""What the stores do while MongoDB hangs, or is not ready for them yet."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from devstack.servers import MongoServer
from mesh.errors import Unavailable
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.ledger import MongoLedger

pytestmark = pytest.mark.timeout(120)


def refused() -> float:
    """Calls that were not made because MongoDB was known to hang."""
    return REGISTRY.get_sample_value("parley_breaker_refused_total", {"dependency": "mongodb"}) or 0


async def test_a_server_that_hangs_is_waited_for_by_two_and_then_by_nobody() -> None:
    with MongoServer() as server:
        async with open_mongo(server.url) as mongo:
            await mongo.prepare(make_indexes)
            ledger = MongoLedger(mongo)
            assert await ledger.find("bob", "", 1) == []
            server.pause()
            try:
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await ledger.find("bob", "", 1)
                before = refused()
                for _ in range(50):
                    with pytest.raises(Unavailable, match="does not answer"):
                        await ledger.find("bob", "", 1)
                assert refused() - before == 50
            finally:
                server.resume()
            async with asyncio.timeout(30):
                while await answer(ledger) is None:
                    await asyncio.sleep(0.05)
            assert await ledger.find("bob", "", 1) == []


async def test_nothing_is_stored_before_the_indexes_are_made(mongo_url: str) -> None:
    async with open_mongo(mongo_url) as mongo:
        devices = MongoDeviceStore(mongo)
        with pytest.raises(Unavailable, match="indexes"):
            await devices.list("bob")
        with pytest.raises(Unavailable, match="indexes"):
            await mongo.check()
        await mongo.prepare(make_indexes)
        await mongo.check()
        assert await devices.list("bob") == []


async def answer(ledger: MongoLedger) -> object:
    """None while there is none."""
    try:
        return await ledger.find("bob", "", 1)
    except Unavailable:
        return None
