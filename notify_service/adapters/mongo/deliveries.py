"""What is on its way, and for a while what became of it; see `delivery_documents` for the fields."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, UpdateMany, UpdateOne
from typing_extensions import override

from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.bulk import bulk_write, insert_new
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.adapters.mongo.delivery_documents import (
    HOOKS,
    WAITING,
    delayed,
    due_again,
    settled_as,
    to_delivery,
    to_document,
    to_stored,
)
from notify_service.delivery.ports import DeliveryCare, DeliveryLog, DeliveryStore
from notify_service.delivery.provider_limiter import Scope
from notify_service.domain.delivery import (
    Attempt,
    AttemptOutcome,
    Backlog,
    Delivery,
    Lane,
    NewDelivery,
    StoredDelivery,
)
from notify_service.inbox.ports import HandedOver

# Few enough to end within PARLEY_NOTIFY_MONGO_SECONDS on a server of usual speed.
_INSERT: Final = 500


class MongoDeliveries(DeliveryStore, DeliveryCare, DeliveryLog, HandedOver):
    """A `DeliveryStore`, `DeliveryCare`, `DeliveryLog` and `HandedOver`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._deliveries = mongo.collection("deliveries")

    @override
    async def add(self, deliveries: Sequence[NewDelivery]) -> None:
        """Stores those whose key is new, some hundreds in a round trip."""
        for start in range(0, len(deliveries), _INSERT):
            documents = [to_document(delivery) for delivery in deliveries[start : start + _INSERT]]
            with self._mongo.guard():
                await insert_new(self._deliveries, documents)

    @override
    async def known(self, keys: Collection[str]) -> Collection[str]:
        """One round trip over the index of keys alone."""
        wanted = {"key": {"$in": list(keys)}}
        with self._mongo.guard():
            return {found["key"] async for found in self._deliveries.find(wanted, {"_id": 0, "key": 1})}

    @override
    async def due(
        self, at_ms: int, limit: int, scope: Scope, lanes: Collection[Lane], *, take_over: bool
    ) -> list[Delivery]:
        """One round trip over the index by provider, whose blocked parts are skipped, not read."""
        at = to_time(at_ms)
        query = {
            **WAITING,
            "provider": _providers(scope),
            "dueAt": {"$lte": at},
            "expiresAt": {"$gt": at},
            "lane": _lanes(lanes),
        }
        if not take_over:
            query["holder"] = {"$exists": False}
        direction = DESCENDING if scope.newest_first else ASCENDING
        order = [("provider", direction), ("dueAt", direction)]
        with self._mongo.guard():
            cursor = self._deliveries.find(query).sort(order).hint("due").limit(limit)
            return [to_delivery(document) async for document in cursor]

    @override
    async def expired(self, at_ms: int, limit: int, lanes: Collection[Lane]) -> list[Delivery]:
        """One round trip."""
        at = to_time(at_ms)
        query = {**WAITING, "expiresAt": {"$lte": at}, "dueAt": {"$lte": at}, "lane": _lanes(lanes)}
        with self._mongo.guard():
            cursor = self._deliveries.find(query).sort("expiresAt").hint("expiring").limit(limit)
            return [to_delivery(document) async for document in cursor]

    @override
    async def claim(
        self, deliveries: Sequence[Delivery], holder: str, at_ms: int, until_ms: int
    ) -> list[Delivery]:
        """One round trip, and a second one to see who got what when another holder was faster with some.

        The count of attempts serves as the version: a claim since the reading has moved it.
        """
        by_attempt: dict[int, list[ObjectId]] = {}
        for delivery in deliveries:
            by_attempt.setdefault(delivery.attempt, []).append(ObjectId(delivery.id))
        change = {"$set": {"holder": holder, "dueAt": to_time(until_ms)}, "$inc": {"attempt": 1}}
        unclaimed = {**WAITING, "dueAt": {"$lte": to_time(at_ms)}}
        updates = [
            UpdateMany({"_id": {"$in": ids}, "attempt": attempt, **unclaimed}, change)
            for attempt, ids in by_attempt.items()
        ]
        with self._mongo.guard():
            taken = await bulk_write(self._deliveries, updates)
        if taken == len(deliveries):
            return [_begun(delivery) for delivery in deliveries]
        if taken == 0:
            return []
        mine = {"_id": {"$in": _ids(deliveries)}, "holder": holder, "dueAt": to_time(until_ms)}
        with self._mongo.guard():
            got = {str(found["_id"]) async for found in self._deliveries.find(mine, {"_id": 1})}
        return [_begun(delivery) for delivery in deliveries if delivery.id in got]

    @override
    async def hold(self, deliveries: Sequence[Delivery], holder: str, until_ms: int) -> None:
        """One round trip."""
        await self._change_held(deliveries, holder, {"$set": {"dueAt": to_time(until_ms)}})

    @override
    async def release(self, deliveries: Sequence[Delivery], holder: str, due_ms: int) -> None:
        """One round trip."""
        change = {"$set": {"dueAt": to_time(due_ms)}, "$inc": {"attempt": -1}, "$unset": {"holder": ""}}
        await self._change_held(deliveries, holder, change)

    async def _change_held(self, deliveries: Sequence[Delivery], holder: str, change: Document) -> None:
        with self._mongo.guard():
            await self._deliveries.update_many({"_id": {"$in": _ids(deliveries)}, "holder": holder}, change)

    @override
    async def record(self, attempts: Sequence[Attempt], holder: str) -> None:
        """One round trip; those that ended in the same way are one update."""
        updates: list[UpdateOne | UpdateMany] = []
        alike: dict[tuple[AttemptOutcome, Lane, str], list[Attempt]] = {}
        for attempt in attempts:
            if attempt.outcome is AttemptOutcome.DELAYED:
                updates.append(delayed(attempt, holder))
            else:
                # A receipt is for the ledger alone: here it would make each of them an update of its own.
                detail = "" if attempt.outcome is AttemptOutcome.SENT else attempt.detail
                alike.setdefault((attempt.outcome, attempt.delivery.what.lane, detail), []).append(attempt)
        for (outcome, lane, detail), group in alike.items():
            ids = [ObjectId(attempt.delivery.id) for attempt in group]
            settle = settled_as(outcome, lane, detail, max(attempt.at_ms for attempt in group))
            updates.append(UpdateMany({"_id": {"$in": ids}, **WAITING}, settle))
        with self._mongo.guard():
            await bulk_write(self._deliveries, updates)

    @override
    async def forget_contents(self, at_ms: int) -> int:
        """One update."""
        with self._mongo.guard():
            result = await self._deliveries.update_many(
                {"contentUntil": {"$lte": to_time(at_ms)}}, {"$unset": {"payload": "", "contentUntil": ""}}
            )
        return result.modified_count

    @override
    async def backlog(self, count_up_to: int) -> Mapping[Lane, Backlog]:
        """Two small round trips per lane."""
        found = {}
        for lane in Lane:
            query = {**WAITING, "lane": lane.value}
            with self._mongo.guard():
                oldest = await self._deliveries.find_one(
                    query, {"createdAt": 1}, sort=[("createdAt", 1)], hint="backlog"
                )
                count = await self._deliveries.count_documents(query, limit=count_up_to, hint="backlog")
            found[lane] = Backlog(count, to_ms(oldest["createdAt"]) if oldest else 0)
        return found

    @override
    async def is_waiting(self, user_id: str, message_id: str) -> bool:
        """One round trip over what waits for the user, which is little."""
        query = {**WAITING, "userId": user_id, "messageIds": message_id}
        with self._mongo.guard():
            return await self._deliveries.find_one(query, {"_id": 1}, hint="waiting_for_user") is not None

    @override
    async def of_target(
        self, target_id: str, outcome: AttemptOutcome | None, limit: int, *, waiting: bool = False
    ) -> list[StoredDelivery]:
        """One round trip."""
        query = {**HOOKS, "targetId": target_id}
        if waiting:
            query |= WAITING
        elif outcome is not None:
            query["outcome"] = outcome.value
        with self._mongo.guard():
            cursor = self._deliveries.find(query).sort("_id", DESCENDING).hint("of_hook").limit(limit)
            return [to_stored(document) async for document in cursor]

    @override
    async def replay(self, target_id: str, delivery_id: str, at_ms: int, expires_at_ms: int) -> bool:
        """One atomic step for what is settled; another for what waits and is not being tried just now."""
        if not ObjectId.is_valid(delivery_id):
            return False
        wanted = {"_id": ObjectId(delivery_id), **HOOKS, "targetId": target_id}
        settled = {**wanted, "settledAt": {"$exists": True}, "payload": {"$exists": True}}
        with self._mongo.guard():
            result = await self._deliveries.update_one(settled, due_again(at_ms, expires_at_ms))
            if result.matched_count == 1:
                return True
            sooner = {"$min": {"dueAt": to_time(at_ms)}}
            free = {**wanted, **WAITING, "holder": {"$exists": False}}
            if (await self._deliveries.update_one(free, sooner)).matched_count == 1:
                return True
            return await self._deliveries.find_one({**wanted, **WAITING}, {"_id": 1}) is not None

    @override
    async def revive(self, deliveries: Sequence[NewDelivery]) -> None:
        """Two round trips."""
        await self.add(deliveries)
        given_up = [
            outcome.value for outcome in (AttemptOutcome.FAILED, AttemptOutcome.GONE, AttemptOutcome.DROPPED)
        ]
        updates = [
            UpdateOne(
                {"key": delivery.key, "outcome": {"$in": given_up}},
                due_again(delivery.created_at_ms, delivery.expires_at_ms, delivery.payload),
            )
            for delivery in deliveries
        ]
        with self._mongo.guard():
            await bulk_write(self._deliveries, updates)

    @override
    async def give_up(self, target_id: str, detail: str, at_ms: int) -> int:
        """One update."""
        query = {**HOOKS, **WAITING, "targetId": target_id}
        settle = settled_as(AttemptOutcome.FAILED, Lane.HOOK, detail, at_ms)
        with self._mongo.guard():
            result = await self._deliveries.update_many(query, settle, hint="of_hook")
        return result.modified_count


def _providers(scope: Scope) -> Document:
    condition: Document = {"$gt": scope.after}
    if scope.only is not None:
        condition["$in"] = sorted(scope.only)
    elif scope.without:
        condition["$nin"] = sorted(scope.without)
    return condition


def _lanes(lanes: Collection[Lane]) -> Document:
    return {"$in": [lane.value for lane in lanes]}


def _ids(deliveries: Sequence[Delivery]) -> list[ObjectId]:
    return [ObjectId(delivery.id) for delivery in deliveries]


def _begun(delivery: Delivery) -> Delivery:
    return replace(delivery, attempt=delivery.attempt + 1)
