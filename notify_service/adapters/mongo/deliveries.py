"""Collection `deliveries`: what is on its way, and for a while what became of it.

`key`, `lane`, `provider`, `targetId`, `userId`, `chatId`, `messageIds`, `payload`, `createdAt`, `expiresAt`,
`attempt` (how many have begun). On its way: `waiting` true and `dueAt`; while somebody holds it, `holder` is
set and `dueAt` is when the claim runs out, so that one index finds what is due and what was abandoned.
Settled: `outcome`, `settledAt`, and for a hook `contentUntil`. `words` are the provider's last.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, UpdateMany, UpdateOne

from notify_service.adapters.mongo.database import (
    Database,
    Document,
    bulk_write,
    insert_new,
    reachable,
    to_ms,
    to_time,
)
from notify_service.domain.delivery import (
    Attempt,
    AttemptOutcome,
    Backlog,
    Delivery,
    Lane,
    NewDelivery,
    StoredDelivery,
)
from notify_service.domain.gates import Scope

REPLAY_MS: Final = 86_400_000
"""How long the content of a settled hook is kept: as long as it can be replayed."""

# Fewer documents than would keep one operation from ending in its time.
_INSERT: Final = 500
_WAITING: Final[Document] = {"waiting": True}
_HOOKS: Final[Document] = {"lane": Lane.HOOK.value}


class MongoDeliveries:
    """A `DeliveryStore`, `DeliveryCare` and `DeliveryLog`."""

    def __init__(self, database: Database) -> None:
        self._deliveries = database["deliveries"]

    async def add(self, deliveries: Sequence[NewDelivery]) -> None:
        """Stores those whose key is new, some hundreds in a round trip."""
        for start in range(0, len(deliveries), _INSERT):
            documents = [_to_document(delivery) for delivery in deliveries[start : start + _INSERT]]
            await insert_new(self._deliveries, documents)

    async def due(
        self, at_ms: int, limit: int, scope: Scope, lanes: Collection[Lane], *, take_over: bool
    ) -> list[Delivery]:
        """One round trip over the index by provider, whose blocked parts are skipped, not read."""
        at = to_time(at_ms)
        query = {
            **_WAITING,
            "provider": _providers(scope),
            "dueAt": {"$lte": at},
            "expiresAt": {"$gt": at},
            "lane": _lanes(lanes),
        }
        if not take_over:
            query["holder"] = {"$exists": False}
        direction = DESCENDING if scope.newest_first else ASCENDING
        order = [("provider", direction), ("dueAt", direction)]
        with reachable():
            cursor = self._deliveries.find(query).sort(order).hint("due").limit(limit)
            return [_to_delivery(document) async for document in cursor]

    async def expired(self, at_ms: int, limit: int, lanes: Collection[Lane]) -> list[Delivery]:
        """One round trip."""
        at = to_time(at_ms)
        query = {**_WAITING, "expiresAt": {"$lte": at}, "dueAt": {"$lte": at}, "lane": _lanes(lanes)}
        with reachable():
            cursor = self._deliveries.find(query).sort("expiresAt").hint("expiring").limit(limit)
            return [_to_delivery(document) async for document in cursor]

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
        unclaimed = {**_WAITING, "dueAt": {"$lte": to_time(at_ms)}}
        updates = [
            UpdateMany({"_id": {"$in": ids}, "attempt": attempt, **unclaimed}, change)
            for attempt, ids in by_attempt.items()
        ]
        taken = await bulk_write(self._deliveries, updates)
        if taken == len(deliveries):
            return [_begun(delivery) for delivery in deliveries]
        if taken == 0:
            return []
        mine = {"_id": {"$in": _ids(deliveries)}, "holder": holder, "dueAt": to_time(until_ms)}
        with reachable():
            got = {str(found["_id"]) async for found in self._deliveries.find(mine, {"_id": 1})}
        return [_begun(delivery) for delivery in deliveries if delivery.id in got]

    async def hold(self, deliveries: Sequence[Delivery], holder: str, until_ms: int) -> None:
        """One round trip."""
        await self._change_held(deliveries, holder, {"$set": {"dueAt": to_time(until_ms)}})

    async def release(self, deliveries: Sequence[Delivery], holder: str, due_ms: int) -> None:
        """One round trip."""
        change = {"$set": {"dueAt": to_time(due_ms)}, "$inc": {"attempt": -1}, "$unset": {"holder": ""}}
        await self._change_held(deliveries, holder, change)

    async def _change_held(self, deliveries: Sequence[Delivery], holder: str, change: Document) -> None:
        with reachable():
            await self._deliveries.update_many({"_id": {"$in": _ids(deliveries)}, "holder": holder}, change)

    async def record(self, attempts: Sequence[Attempt], holder: str) -> None:
        """One round trip; those that ended in the same way are one update."""
        updates: list[UpdateOne | UpdateMany] = []
        alike: dict[tuple[AttemptOutcome, Lane, str], list[Attempt]] = {}
        for attempt in attempts:
            if attempt.outcome is AttemptOutcome.DELAYED:
                updates.append(_delay(attempt, holder))
            else:
                # A receipt is for the ledger alone: here it would make each of them an update of its own.
                words = "" if attempt.outcome is AttemptOutcome.SENT else attempt.detail
                alike.setdefault((attempt.outcome, attempt.delivery.what.lane, words), []).append(attempt)
        for (outcome, lane, words), group in alike.items():
            ids = [ObjectId(attempt.delivery.id) for attempt in group]
            settle = _settle(outcome, lane, words, max(attempt.at_ms for attempt in group))
            updates.append(UpdateMany({"_id": {"$in": ids}, **_WAITING}, settle))
        await bulk_write(self._deliveries, updates)

    async def forget_contents(self, at_ms: int) -> int:
        """One update."""
        with reachable():
            result = await self._deliveries.update_many(
                {"contentUntil": {"$lte": to_time(at_ms)}}, {"$unset": {"payload": "", "contentUntil": ""}}
            )
        return result.modified_count

    async def backlog(self, count_up_to: int) -> Mapping[Lane, Backlog]:
        """Two small round trips per lane."""
        found = {}
        for lane in Lane:
            query = {**_WAITING, "lane": lane.value}
            with reachable():
                oldest = await self._deliveries.find_one(
                    query, {"createdAt": 1}, sort=[("createdAt", 1)], hint="backlog"
                )
                count = await self._deliveries.count_documents(query, limit=count_up_to, hint="backlog")
            found[lane] = Backlog(count, to_ms(oldest["createdAt"]) if oldest else 0)
        return found

    async def is_waiting(self, user_id: str, message_id: str) -> bool:
        """One round trip over what waits for the user, which is little."""
        query = {**_WAITING, "userId": user_id, "messageIds": message_id}
        with reachable():
            return await self._deliveries.find_one(query, {"_id": 1}, hint="waiting_for_user") is not None

    async def of_target(
        self, target_id: str, outcome: AttemptOutcome | None, limit: int, *, waiting: bool = False
    ) -> list[StoredDelivery]:
        """One round trip."""
        query = {**_HOOKS, "targetId": target_id}
        if waiting:
            query |= _WAITING
        elif outcome is not None:
            query["outcome"] = outcome.value
        with reachable():
            cursor = self._deliveries.find(query).sort("_id", DESCENDING).hint("of_hook").limit(limit)
            return [_to_stored(document) async for document in cursor]

    async def replay(self, target_id: str, delivery_id: str, at_ms: int, expires_at_ms: int) -> bool:
        """One atomic step for what is settled; another for what waits and is not being tried just now."""
        if not ObjectId.is_valid(delivery_id):
            return False
        wanted = {"_id": ObjectId(delivery_id), **_HOOKS, "targetId": target_id}
        settled = {**wanted, "settledAt": {"$exists": True}, "payload": {"$exists": True}}
        with reachable():
            result = await self._deliveries.update_one(settled, _again(at_ms, expires_at_ms))
            if result.matched_count == 1:
                return True
            sooner = {"$min": {"dueAt": to_time(at_ms)}}
            free = {**wanted, **_WAITING, "holder": {"$exists": False}}
            if (await self._deliveries.update_one(free, sooner)).matched_count == 1:
                return True
            return await self._deliveries.find_one({**wanted, **_WAITING}, {"_id": 1}) is not None

    async def revive(self, deliveries: Sequence[NewDelivery]) -> None:
        """Two round trips."""
        await self.add(deliveries)
        given_up = [AttemptOutcome.FAILED.value, AttemptOutcome.GONE.value]
        updates = [
            UpdateOne(
                {"key": delivery.key, "outcome": {"$in": given_up}},
                _again(delivery.created_at_ms, delivery.expires_at_ms, delivery.payload),
            )
            for delivery in deliveries
        ]
        await bulk_write(self._deliveries, updates)

    async def give_up(self, target_id: str, words: str, at_ms: int) -> int:
        """One update."""
        query = {**_HOOKS, **_WAITING, "targetId": target_id}
        settle = _settle(AttemptOutcome.FAILED, Lane.HOOK, words, at_ms)
        with reachable():
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


def _delay(attempt: Attempt, holder: str) -> UpdateOne:
    return UpdateOne(
        {
            "_id": ObjectId(attempt.delivery.id),
            "holder": holder,
            "attempt": attempt.delivery.attempt,
            **_WAITING,
        },
        {
            "$set": {"dueAt": to_time(attempt.next_at_ms), "words": attempt.detail},
            "$unset": {"holder": ""},
        },
    )


def _settle(outcome: AttemptOutcome, lane: Lane, words: str, at_ms: int) -> Document:
    values: Document = {"outcome": outcome.value, "settledAt": to_time(at_ms), "words": words}
    over = {"waiting": "", "dueAt": "", "holder": ""}
    if lane is Lane.HOOK:
        values["contentUntil"] = to_time(at_ms + REPLAY_MS)
    else:
        over["payload"] = ""
    return {"$set": values, "$unset": over}


def _again(at_ms: int, expires_at_ms: int, payload: bytes | None = None) -> Document:
    values: Document = {**_WAITING, "dueAt": to_time(at_ms), "expiresAt": to_time(expires_at_ms)}
    if payload is not None:
        values["payload"] = payload
    return {
        "$set": values,
        "$unset": {"outcome": "", "settledAt": "", "contentUntil": "", "words": ""},
    }


def _ids(deliveries: Sequence[Delivery]) -> list[ObjectId]:
    return [ObjectId(delivery.id) for delivery in deliveries]


def _to_document(delivery: NewDelivery) -> Document:
    created = to_time(delivery.created_at_ms)
    return {
        "_id": ObjectId(),
        "key": delivery.key,
        "lane": delivery.lane.value,
        "provider": delivery.provider,
        "targetId": delivery.target_id,
        "userId": delivery.user_id,
        "chatId": delivery.chat_id,
        "messageIds": list(delivery.message_ids),
        "payload": delivery.payload,
        "createdAt": created,
        "expiresAt": to_time(delivery.expires_at_ms),
        "attempt": 0,
        **_WAITING,
        "dueAt": created,
    }


def _to_new(document: Document) -> NewDelivery:
    return NewDelivery(
        key=document["key"],
        lane=Lane(document["lane"]),
        provider=document["provider"],
        target_id=document["targetId"],
        payload=document.get("payload", b""),
        created_at_ms=to_ms(document["createdAt"]),
        expires_at_ms=to_ms(document["expiresAt"]),
        user_id=document["userId"],
        chat_id=document["chatId"],
        message_ids=tuple(document["messageIds"]),
    )


def _to_delivery(document: Document) -> Delivery:
    return Delivery(
        id=str(document["_id"]),
        attempt=document["attempt"],
        what=_to_new(document),
        last_words=document.get("words", ""),
    )


def _begun(delivery: Delivery) -> Delivery:
    return Delivery(delivery.id, delivery.attempt + 1, delivery.what, delivery.last_words)


def _to_stored(document: Document) -> StoredDelivery:
    outcome = document.get("outcome")
    return StoredDelivery(
        id=str(document["_id"]),
        attempts=document["attempt"],
        what=_to_new(document),
        outcome=None if outcome is None else AttemptOutcome(outcome),
        last_words=document.get("words", ""),
        at_ms=to_ms(document["dueAt"] if outcome is None else document["settledAt"]),
    )
