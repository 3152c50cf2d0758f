"""Indexes are built however long it takes, in sight, and what can do without them does not wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from pymongo import IndexModel
from structlog.testing import capture_logs

from devstack.servers import MongoServer
from mesh.cancellation import end
from mesh.ids import new_object_id
from mesh.mongo_indexes import build_indexes, patient_client
from notify_service.adapters.mongo.database import open_mongo as open_notify
from notify_service.adapters.mongo.indexes import INDEXES, LATER, NEEDED, make_indexes
from persist_service.stores.indexes import INDEXES as PERSIST_INDEXES
from persist_service.stores.indexes import LATER as PERSIST_LATER
from persist_service.stores.server import open_mongo as open_persist

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.mongo import Database

HURRIED = "socketTimeoutMS=100&timeoutMS=100"
ONE = IndexModel("at", name="at")


async def test_nothing_limits_how_long_a_build_may_take(mongo_url: str) -> None:
    for opened in (open_notify(mongo_url), open_persist(SecretStr(mongo_url), "test")):
        async with opened as mongo:
            used: list[Database] = []

            async def note(database: Database, used: list[Database] = used) -> None:
                used.append(database)

            await mongo.prepare(note)
            options = used[0].client.delegate.options
            assert (options.timeout, options.pool_options.socket_timeout) == (None, None)


async def test_a_build_that_takes_long_is_told_of_and_waited_for() -> None:
    with MongoServer() as server:
        url = f"{server.url}&{HURRIED}" if "?" in server.url else f"{server.url}/?{HURRIED}"
        client = patient_client(url, "test")
        collection = client["test"]["ledger"]
        await collection.insert_one({"at": 1})
        with capture_logs() as lines:
            server.pause()
            building = asyncio.create_task(build_indexes(collection, [ONE], progress_seconds=0.2))
            try:
                async with asyncio.timeout(30):
                    while sum(line["event"] == "mongodb.index_building" for line in lines) < 2:
                        await asyncio.sleep(0.02)
            finally:
                server.resume()
            await building
        assert {line["collection"] for line in lines} == {"ledger"}
        assert "at" in await collection.index_information()
        client.close()


async def test_what_can_do_without_an_index_does_not_wait_for_it(mongo_url: str) -> None:
    goes_on = asyncio.Event()

    async def needed(database: Database) -> None:
        await build_indexes(database["needed"], [ONE])

    async def later(database: Database) -> None:
        await goes_on.wait()
        await build_indexes(database["later"], [ONE])

    async with open_notify(mongo_url, f"test_{new_object_id()}") as mongo:
        preparing = asyncio.create_task(mongo.prepare(needed, later))
        try:
            await mongo.wait_prepared()
            await mongo.check()
            with mongo.guard():
                assert "at" in await mongo.collection("needed").index_information()
            goes_on.set()
            await preparing
            with mongo.guard():
                assert "at" in await mongo.collection("later").index_information()
        finally:
            await end(preparing)


@pytest.mark.parametrize(
    ("indexes", "later"), [(INDEXES, LATER), (PERSIST_INDEXES, PERSIST_LATER)], ids=["notify", "persist"]
)
def test_nothing_that_keeps_things_unique_comes_later(
    indexes: Mapping[str, Sequence[IndexModel]], later: Mapping[str, Sequence[IndexModel]]
) -> None:
    unique = [index for models in indexes.values() for index in models if index.document.get("unique")]
    assert unique
    assert not [index for models in later.values() for index in models if index in unique]


async def test_all_that_notify_service_needs_or_wants_is_made(mongo_url: str) -> None:
    async with open_notify(mongo_url, f"test_{new_object_id()}") as mongo:
        await mongo.prepare(make_indexes)
        with mongo.guard():
            for name in {*NEEDED, *LATER}:
                made = set(await mongo.collection(name).index_information())
                assert {index.document["name"] for index in INDEXES[name]} <= made
