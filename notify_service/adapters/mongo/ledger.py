"""Collection `ledger`: `users`, `messages`, `chatId`, `outcome`, `detail`, `at`.

Attempts also have `deviceId`, `kind`, `attempt`. Entries are written once and never changed; MongoDB removes
those that are older than the setting says.
"""

from collections.abc import Sequence
from typing import Final

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING
from typing_extensions import override

from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.bulk import insert_new
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.domain.device import DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.ports import Ledger

_ORDER: Final = [("at", DESCENDING), ("_id", DESCENDING)]
_OF_DIGEST: Final = 20


class MongoLedger(Ledger):
    """A `Ledger`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._ledger = mongo.collection("ledger")

    @override
    async def write(self, entries: Sequence[LedgerEntry]) -> None:
        """Stores those whose id is new: of an entry that is written again the first stays."""
        with self._mongo.guard():
            await insert_new(self._ledger, [_to_document(entry) for entry in entries])

    @override
    async def find(self, user_id: str, message_id: str, limit: int, before_id: str = "") -> list[LedgerEntry]:
        """One round trip, and one more to find the place of `before_id`; none after an entry that is gone."""
        query: Document = {}
        if user_id:
            query["users"] = user_id
        if message_id:
            query["messages"] = message_id
        # One decision may name hundreds of users: who asks for one is not sent the others.
        fields = {"users": 0} if user_id else None
        with self._mongo.guard():
            if before_id:
                last = await self._ledger.find_one({"_id": _id(before_id)}, {"at": 1})
                if last is None:
                    return []
                query["$or"] = [
                    {"at": {"$lt": last["at"]}},
                    {"at": last["at"], "_id": {"$lt": last["_id"]}},
                ]
            cursor = self._ledger.find(query, fields).sort(_ORDER).limit(limit)
            return [_to_entry(document, user_id) async for document in cursor]

    @override
    async def since(self, user_id: str, since_ms: int, limit: int) -> Sequence[LedgerEntry]:
        """One round trip."""
        query = {"users": user_id, "at": {"$gte": to_time(since_ms)}}
        with self._mongo.guard():
            cursor = self._ledger.find(query, {"users": 0}).sort(_ORDER).limit(limit)
            return [_to_entry(document, user_id) async for document in cursor]

    @override
    async def next_digest(self, user_id: str, since_ms: int) -> list[LedgerEntry]:
        """One round trip: what is about no one chat is about a digest."""
        query = {"users": user_id, "chatId": "", "at": {"$gte": to_time(since_ms)}}
        oldest_first = [(field, ASCENDING) for field, _ in _ORDER]
        with self._mongo.guard():
            cursor = self._ledger.find(query, {"users": 0}).sort(oldest_first).limit(_OF_DIGEST)
            return [_to_entry(document, user_id) async for document in cursor]


def _id(text: str) -> ObjectId | None:
    return ObjectId(text) if ObjectId.is_valid(text) else None


def _to_document(entry: LedgerEntry) -> Document:
    document = {
        "_id": ObjectId(entry.id),
        "users": list(entry.user_ids),
        "messages": list(entry.message_ids),
        "chatId": entry.chat_id,
        "outcome": entry.outcome.value,
        "detail": entry.detail,
        "at": to_time(entry.at_ms),
    }
    if entry.kind is not None:
        document |= {"deviceId": entry.device_id, "kind": entry.kind.value, "attempt": entry.attempt}
    return document


def _to_entry(document: Document, user_id: str) -> LedgerEntry:
    kind = document.get("kind")
    return LedgerEntry(
        id=str(document["_id"]),
        user_ids=(user_id,) if user_id else tuple(document["users"]),
        message_ids=tuple(document["messages"]),
        chat_id=document["chatId"],
        outcome=Outcome(document["outcome"]),
        detail=document["detail"],
        at_ms=to_ms(document["at"]),
        device_id=document.get("deviceId", ""),
        kind=None if kind is None else DeviceKind(kind),
        attempt=document.get("attempt", 0),
    )
