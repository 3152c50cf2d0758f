"""Collection `digests`: `_id` is the user's id; `dueAt`, `mailedAt`.

One that is being looked at has `firingAt` (when it was due), `claim` and `leaseUntil` instead of `dueAt`; it
may be armed anew meanwhile.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from pymongo import ASCENDING, UpdateOne
from pymongo.errors import BulkWriteError

from mesh.ids import new_object_id
from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.bulk import bulk_write, require_duplicates
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.domain.digest import DueDigest

_LEASE_MS: Final = 60_000
_RELEASED: Final = {"firingAt": "", "claim": "", "leaseUntil": ""}


class MongoDigestStore:
    """A `DigestStore`."""

    def __init__(self, mongo: Mongo, *, after_seconds: float) -> None:
        self._mongo = mongo
        self._digests = mongo.collection("digests")
        self._after_ms = round(after_seconds * 1000)

    async def arm(self, user_ids: Collection[str], at_ms: int) -> None:
        """The first one counts: `$min` keeps what is due earlier."""
        due = to_time(at_ms + self._after_ms)
        updates = [
            UpdateOne({"_id": user_id}, {"$min": {"dueAt": due}}, upsert=True) for user_id in set(user_ids)
        ]
        if not updates:
            return
        with self._mongo.guard():
            try:
                await self._digests.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                require_duplicates(error)
                # Two upserts of a new user met; by now the user is there, and this one changes it.
                await bulk_write(self._digests, updates)

    async def claim(self, limit: int, at_ms: int) -> Sequence[DueDigest]:
        """Moves `dueAt` to `firingAt`, so that whoever arms meanwhile is not lost with it."""
        now, claim = to_time(at_ms), new_object_id()
        due: Document = {"dueAt": {"$lte": now}, "leaseUntil": {"$exists": False}}
        left: Document = {"leaseUntil": {"$lte": now}}
        hold = {"claim": claim, "leaseUntil": to_time(at_ms + _LEASE_MS)}
        with self._mongo.guard():
            ids = await self._some(due, limit)
            if ids:
                taking = {"$rename": {"dueAt": "firingAt"}, "$set": hold}
                await self._digests.update_many({"_id": {"$in": ids}, **due}, taking)
            if abandoned := await self._some(left, limit - len(ids)):
                await self._digests.update_many({"_id": {"$in": abandoned}, **left}, {"$set": hold})
                ids += abandoned
            if not ids:
                return ()
            held = self._digests.find({"_id": {"$in": ids}, "claim": claim})
            return [_to_due(document) async for document in held]

    async def settle(self, due: Sequence[DueDigest], at_ms: int, *, mailed: Collection[str]) -> None:
        """Leaves `dueAt` alone: who was armed meanwhile stays armed."""
        mailed_at = {"$set": {"mailedAt": to_time(at_ms)}}
        await self._end(
            UpdateOne(_held(one), {"$unset": _RELEASED, **(mailed_at if one.user_id in mailed else {})})
            for one in due
        )

    async def put_back(self, due: Mapping[DueDigest, int]) -> None:
        """Arms again."""
        await self._end(
            UpdateOne(_held(one), {"$unset": _RELEASED, "$min": {"dueAt": to_time(again_ms)}})
            for one, again_ms in due.items()
        )

    async def _some(self, which: Document, limit: int) -> list[str]:
        if limit == 0:
            return []
        found = self._digests.find(which, {"_id": 1}).sort("dueAt", ASCENDING).limit(limit)
        return [document["_id"] async for document in found]

    async def _end(self, updates: Iterable[UpdateOne]) -> None:
        with self._mongo.guard():
            await bulk_write(self._digests, list(updates))


def _held(due: DueDigest) -> Document:
    return {"_id": due.user_id, "claim": due.claim}


def _to_due(document: Document) -> DueDigest:
    mailed_at = document.get("mailedAt")
    return DueDigest(
        user_id=document["_id"],
        due_at_ms=to_ms(document["firingAt"]),
        last_mailed_ms=to_ms(mailed_at) if mailed_at is not None else 0,
        claim=document["claim"],
    )
