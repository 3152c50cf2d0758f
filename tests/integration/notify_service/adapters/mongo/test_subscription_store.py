"""Subscriptions in MongoDB, and how far behind a process may be with what it knows of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from devstack.servers import MongoServer
from mesh.errors import Unavailable
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.adapters.mongo.subscriptions import MongoSubscriptionStore
from notify_service.webhooks.event import HookEventType
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.subscription import MAX_SECRETS, SubscriptionSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "https://hooks.example/in"
SPEC = SubscriptionSpec(
    url=URL,
    types=frozenset({HookEventType.CHAT_UPDATED, HookEventType.MESSAGE_CREATED}),
    chat_ids=frozenset({"65f1a0b2c3d4e5f60718293a"}),
    actor_ids=frozenset({"alice", "bob"}),
    include_content=False,
    label="the shop",
)


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[MongoSubscriptionStore]:
    async with open_mongo(mongo_url) as mongo:
        await mongo.prepare(make_indexes)
        made = MongoSubscriptionStore(mongo)
        yield made
        for subscription in await made.list():
            await made.remove(subscription.id)


async def test_what_is_stored_comes_back(store: MongoSubscriptionStore) -> None:
    made = await store.add(SPEC, "the secret", 1000)
    assert made.spec == SPEC
    assert made.signing_secrets(10**15) == ["the secret"]
    assert await store.list() == [made]
    other = SubscriptionSpec(url="https://other.example/", enabled=False)
    changed = await store.replace(made.id, other, 2000)
    assert changed is not None
    assert (changed.spec, changed.secrets) == (other, made.secrets)
    assert (changed.created_at_ms, changed.updated_at_ms) == (1000, 2000)
    assert await store.remove(made.id)
    assert not await store.remove(made.id)
    assert await store.list() == []


@pytest.mark.parametrize("subscription_id", [new_object_id(), "no id"], ids=["unknown", "no id"])
async def test_one_that_is_not_there(store: MongoSubscriptionStore, subscription_id: str) -> None:
    assert await store.replace(subscription_id, SPEC, 1) is None
    assert await store.rotate(subscription_id, "x", 1) is None
    assert not await store.remove(subscription_id)


async def test_rotations_at_the_same_time_lose_none(store: MongoSubscriptionStore) -> None:
    made = await store.add(SPEC, "first", 1000)
    await asyncio.gather(*(store.rotate(made.id, f"secret {number}", 2000) for number in range(3)))
    (found,) = await store.list()
    assert sorted(found.signing_secrets(2000)) == ["first", "secret 0", "secret 1", "secret 2"]
    assert found.secrets[-1].value == "first"
    for number in range(10):
        await store.rotate(made.id, f"later {number}", 3000)
    (found,) = await store.list()
    assert len(found.secrets) == MAX_SECRETS
    assert found.secrets[0].value == "later 9"


async def test_only_what_points_there_is_disabled(store: MongoSubscriptionStore) -> None:
    made = await store.add(SPEC, "secret", 1000)
    assert not await store.disable(made.id, "https://before.example/", "gone", 2000)
    assert await store.disable(made.id, URL, "HTTP 410: gone", 3000)
    assert not await store.disable(made.id, URL, "again", 4000)
    (found,) = await store.list()
    assert not found.spec.enabled
    assert (found.disabled_because, found.updated_at_ms) == ("HTTP 410: gone", 3000)


async def test_a_process_is_behind_others_for_a_while_and_never_behind_itself(
    store: MongoSubscriptionStore,
) -> None:
    now = 100.0
    known = KnownSubscriptions(store, max_age_seconds=2, clock=lambda: now)
    assert await known.all() == {}
    made = await store.add(SPEC, "secret", 1000)
    now = 101.9
    assert await known.all() == {}
    now = 102.0
    assert (await known.all()).keys() == {made.id}
    await store.remove(made.id)
    known.forget()
    assert await known.all() == {}


async def test_nothing_new_is_taken_for_missing(store: MongoSubscriptionStore) -> None:
    known = KnownSubscriptions(store, max_age_seconds=60)
    assert await known.all() == {}
    made = await store.add(SPEC, "secret", 1000)
    assert await known.all() == {}
    assert await known.find(made.id) == made
    assert await known.find(new_object_id()) is None


async def test_a_change_during_the_reading_is_read_too(store: MongoSubscriptionStore) -> None:
    known = KnownSubscriptions(store, max_age_seconds=60)
    reading = asyncio.create_task(known.all())
    await asyncio.sleep(0)  # the question is on its way
    made = await store.add(SPEC, "secret", 1000)
    known.forget()
    assert (await known.all()).keys() == {made.id}
    await reading
    assert (await known.all()).keys() == {made.id}


async def test_all_who_ask_at_once_share_one_answer_or_one_failure() -> None:
    with MongoServer() as server:
        async with open_mongo(server.url) as mongo:
            await mongo.prepare(make_indexes)
            server.kill()
            known = KnownSubscriptions(MongoSubscriptionStore(mongo))
            answers = await asyncio.gather(
                *(known.find(new_object_id()) for _ in range(10)), return_exceptions=True
            )
    assert isinstance(answers[0], Unavailable)
    assert all(answer is answers[0] for answer in answers)
