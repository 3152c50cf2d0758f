"""Collections that say when to look at which user: `_id` is the user's id, `dueAt` the time.

One that is being looked at has `firingAt` (when it was due), `claim` and `leaseUntil` instead of `dueAt`; it
may be armed anew meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.errors import BulkWriteError

from mesh.ids import new_object_id
from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.bulk import bulk_write, require_duplicates
from notify_service.adapters.mongo.database import to_time

INDEXES: Final[Sequence[IndexModel]] = (
    IndexModel([("dueAt", 1)], name="due", sparse=True),
    IndexModel([("leaseUntil", 1)], name="left_behind", sparse=True),
)
RELEASED: Final = {"firingAt": "", "claim": "", "leaseUntil": ""}
_LEASE_MS: Final = 60_000


class Appointments:
    """Any number of processes use one collection at once."""

    def __init__(self, mongo: Mongo, collection: str) -> None:
        self._mongo = mongo
        self._users = mongo.collection(collection)

    async def arm(self, due_ms: int, notes: Mapping[str, Document]) -> None:
        """The first one counts: `$min` keeps what is due earlier. By the user, what else to update."""
        due = {"$min": {"dueAt": to_time(due_ms)}}
        updates = [
            UpdateOne({"_id": user_id}, {**due, **note}, upsert=True) for user_id, note in notes.items()
        ]
        if not updates:
            return
        with self._mongo.guard():
            try:
                await self._users.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                require_duplicates(error)
                # Two upserts of a new user met; by now the user is there, and this one changes it.
                await bulk_write(self._users, updates)

    async def claim(self, limit: int, at_ms: int) -> list[Document]:
        """Moves `dueAt` to `firingAt`, so that whoever arms meanwhile is not lost with it."""
        now, claim = to_time(at_ms), new_object_id()
        due: Document = {"dueAt": {"$lte": now}, "leaseUntil": {"$exists": False}}
        left: Document = {"leaseUntil": {"$lte": now}}
        hold = {"claim": claim, "leaseUntil": to_time(at_ms + _LEASE_MS)}
        with self._mongo.guard():
            ids = await self._some(due, limit)
            if ids:
                taking = {"$rename": {"dueAt": "firingAt"}, "$set": hold}
                await self._users.update_many({"_id": {"$in": ids}, **due}, taking)
            if abandoned := await self._some(left, limit - len(ids)):
                await self._users.update_many({"_id": {"$in": abandoned}, **left}, {"$set": hold})
                ids += abandoned
            if not ids:
                return []
            held = self._users.find({"_id": {"$in": ids}, "claim": claim})
            return [document async for document in held]

    async def end(self, updates: Iterable[UpdateOne]) -> None:
        """Ends looks, in one round trip."""
        with self._mongo.guard():
            await bulk_write(self._users, list(updates))

    async def _some(self, which: Document, limit: int) -> list[str]:
        if limit == 0:
            return []
        found = self._users.find(which, {"_id": 1}).sort("dueAt", ASCENDING).limit(limit)
        return [document["_id"] async for document in found]
