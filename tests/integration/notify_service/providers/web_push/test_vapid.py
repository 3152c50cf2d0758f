"""The key for Web Push, made on first start and kept in MongoDB."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mesh.errors import Unavailable
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.keys import MongoKeyStore
from notify_service.providers.web_push import vapid as vapid_module
from notify_service.providers.web_push.vapid import Vapid
from notify_service.providers.web_push.vapid_key import VapidKey
from tests.support.providers.push_reading import check_vapid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ORIGIN = "https://push.example"


@asynccontextmanager
async def key_store(mongo_url: str) -> AsyncIterator[MongoKeyStore]:
    async with open_mongo(mongo_url) as mongo:
        await mongo.prepare(make_indexes)
        yield MongoKeyStore(mongo)


@asynccontextmanager
async def no_store() -> AsyncIterator[MongoKeyStore]:
    async with open_mongo("mongodb://127.0.0.1:1/") as mongo:
        yield MongoKeyStore(mongo)


async def test_processes_that_start_at_once_use_one_key_and_so_do_later_ones(mongo_url: str) -> None:
    async with open_mongo(mongo_url) as mongo:
        await mongo.collection("keys").delete_many({})
    async with key_store(mongo_url) as one, key_store(mongo_url) as two:
        processes = [Vapid(store, "") for store in (one, two, one, two)]
        keys = set(await asyncio.gather(*(process.public_key() for process in processes)))
        assert len(keys) == 1
        header = await processes[0].authorization(ORIGIN)
        assert check_vapid(header, ORIGIN, time.time())[1] in keys
    async with key_store(mongo_url) as later:
        assert {await Vapid(later, "").public_key()} == keys


async def test_of_two_keys_the_first_stays(mongo_url: str) -> None:
    async with key_store(mongo_url) as store:
        name = f"test-{time.time_ns()}"
        assert await store.find(name) is None
        assert await store.add(name, b"first")
        assert not await store.add(name, b"second")
        assert await store.find(name) == b"first"


async def test_without_the_store_it_can_be_asked_again() -> None:
    async with no_store() as store:
        vapid = Vapid(store, "")
        for asked in (vapid.public_key, lambda: vapid.authorization(ORIGIN)):
            with pytest.raises(Unavailable):
                await asked()


async def test_a_key_of_the_operator_s_needs_no_store() -> None:
    key = VapidKey.generate()
    async with no_store() as store:
        vapid = Vapid(store, "https://chat.example", key)
        assert await vapid.public_key() == key.public_key
        claims, _ = check_vapid(await vapid.authorization(ORIGIN), ORIGIN, time.time())
        assert claims["sub"] == "https://chat.example"


async def test_tokens_are_kept_per_push_service_and_made_anew_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    async with no_store() as store:
        vapid = Vapid(store, "", VapidKey.generate())
        first = await vapid.authorization(ORIGIN)
        assert await vapid.authorization(ORIGIN) == first
        assert await vapid.authorization("https://other.example") != first
        now += 7 * 3600
        renewed = await vapid.authorization(ORIGIN)
        assert renewed != first
        assert check_vapid(first, ORIGIN, now)
        assert check_vapid(renewed, ORIGIN, now)


async def test_tokens_are_kept_for_so_many_push_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vapid_module, "_MAX_ORIGINS", 3)
    async with no_store() as store:
        vapid = Vapid(store, "", VapidKey.generate())
        tokens = [await vapid.authorization(f"https://{number}.example") for number in range(5)]
        assert await vapid.authorization("https://4.example") == tokens[4]
        assert await vapid.authorization("https://0.example") != tokens[0]
        assert len(vapid._tokens) == 3
