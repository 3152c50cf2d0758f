"""Collection `ledger`: `userId`, `messageId`, `deviceId`, `chatId`, `outcome`, `detail`, `at`.

An open claim also has `holder`, `claims` (how many there were) and `leaseUntil`; see `domain.ledger`.
"""

from collections.abc import Sequence
from typing import Final

from bson import ObjectId
from pymongo import DESCENDING, UpdateOne
from pymongo.errors import BulkWriteError

from mesh.errors import unavailable
from notify_service.adapters.mongo.database import Database, Document, reachable, to_ms, to_time
from notify_service.domain.ledger import INTERRUPTED, LEASE_MS, MAX_CLAIMS, Claim, LedgerEntry, Outcome, Slot
from notify_service.ports import Opening, Result

_DUPLICATE_KEY: Final = 11_000


class MongoLedger:
    """A `Ledger`. The unique index on the slot decides between writers, whichever process they are in."""

    def __init__(self, database: Database) -> None:
        self._ledger = database["ledger"]

    async def open(self, openings: Sequence[Opening], holder: str, at_ms: int) -> list[Claim]:
        """Makes the entries in one round trip, and looks closer at those that exist already."""
        if not openings:
            return []
        documents = [_to_document(opening, holder, at_ms) for opening in openings]
        claims = [Claim.GRANTED] * len(openings)
        with reachable():
            for index in await self._insert(documents):
                claims[index] = await self._reopen(openings[index].slot, holder, at_ms)
        return claims

    async def record(self, results: Sequence[Result], at_ms: int) -> None:
        """Writes the outcomes in one round trip."""
        updates = [
            UpdateOne(
                {**_by_slot(result.slot), "holder": result.holder, "outcome": Outcome.PENDING.value},
                {
                    "$set": {"outcome": result.outcome.value, "detail": result.detail, "at": to_time(at_ms)},
                    "$unset": {"leaseUntil": ""},
                },
            )
            for result in results
        ]
        with reachable():
            await self._ledger.bulk_write(updates, ordered=False)

    async def find(self, user_id: str, message_id: str, limit: int) -> list[LedgerEntry]:
        """Entries, the newest decision first: ObjectIds grow with the time they were made at."""
        wanted = {"userId": user_id, "messageId": message_id}
        query = {field: value for field, value in wanted.items() if value}
        with reachable():
            cursor = self._ledger.find(query).sort("_id", DESCENDING).limit(limit)
            return [_to_entry(document) async for document in cursor]

    async def _insert(self, documents: list[Document]) -> list[int]:
        """The places of those whose slot is taken."""
        try:
            await self._ledger.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if not failures:
                raise unavailable("mongodb", "mongodb did not confirm a write") from error
            if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
                raise
            return [failure["index"] for failure in failures]
        return []

    async def _reopen(self, slot: Slot, holder: str, at_ms: int) -> Claim:
        entry = await self._ledger.find_one(_by_slot(slot))
        if entry is None:
            return Claim.HELD  # removed in between: the next delivery makes it anew
        outcome = Outcome(entry["outcome"])
        if entry["holder"] == holder and outcome in {Outcome.PENDING, Outcome.SUPPRESSED}:
            return Claim.GRANTED
        if outcome is not Outcome.PENDING:
            return Claim.SETTLED
        if to_ms(entry["leaseUntil"]) > at_ms:
            return Claim.HELD
        return await self._take_over(entry, holder, at_ms)

    async def _take_over(self, entry: Document, holder: str, at_ms: int) -> Claim:
        last = entry["claims"] >= MAX_CLAIMS
        change: Document = {
            "$set": {"holder": holder, "leaseUntil": to_time(at_ms + LEASE_MS)},
            "$inc": {"claims": 1},
        }
        if last:
            failed = {"outcome": Outcome.FAILED.value, "detail": INTERRUPTED, "at": to_time(at_ms)}
            change = {"$set": failed, "$unset": {"leaseUntil": ""}}
        # Only if nobody was faster: the holder is still the one whose lease ran out, and has not come back.
        unchanged = {"_id": entry["_id"], "holder": entry["holder"], "outcome": Outcome.PENDING.value}
        result = await self._ledger.update_one(unchanged, change)
        if result.modified_count == 0:
            return Claim.HELD
        return Claim.SETTLED if last else Claim.GRANTED


def _by_slot(slot: Slot) -> Document:
    return {"userId": slot.user_id, "messageId": slot.message_id, "deviceId": slot.device_id}


def _to_document(opening: Opening, holder: str, at_ms: int) -> Document:
    document = {
        "_id": ObjectId(),
        **_by_slot(opening.slot),
        "chatId": opening.chat_id,
        "outcome": opening.outcome.value,
        "detail": opening.detail,
        "at": to_time(at_ms),
        "holder": holder,
    }
    if opening.outcome is Outcome.PENDING:
        document |= {"claims": 1, "leaseUntil": to_time(at_ms + LEASE_MS)}
    return document


def _to_entry(document: Document) -> LedgerEntry:
    return LedgerEntry(
        id=str(document["_id"]),
        slot=Slot(document["userId"], document["messageId"], document["deviceId"]),
        chat_id=document["chatId"],
        outcome=Outcome(document["outcome"]),
        detail=document["detail"],
        at_ms=to_ms(document["at"]),
    )
