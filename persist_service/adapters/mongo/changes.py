"""Collection ``changes``: log entries that are no messages; ``event`` holds each as it was logged."""

from collections.abc import Sequence

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError

from mesh.mongo import Document, Mongo
from persist_service.adapters.mongo.bulk import duplicates
from persist_service.domain.log import Change, LogEntry
from persist_service.ports import Insertion, Verdict


class MongoChanges:
    """``ports.Changes``."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._changes = mongo.collection("changes")

    async def insert(self, entries: Sequence[LogEntry]) -> list[Insertion]:
        """As the port says."""
        insertions = [Insertion(Verdict.STORED)] * len(entries)
        with self._mongo.guard():
            try:
                await self._changes.insert_many([_to_document(entry) for entry in entries], ordered=False)
            except BulkWriteError as error:
                for place in duplicates(error):
                    insertions[place] = await self._judge(entries[place])
        return insertions

    async def between(self, chat_id: str, after: int, upto: int, limit: int) -> list[LogEntry]:
        """As the port says."""
        query = {"chatId": ObjectId(chat_id), "seq": {"$gt": after, "$lte": upto}}
        with self._mongo.guard():
            found = self._changes.find(query).sort("seq", ASCENDING).limit(limit)
            return [_to_entry(document) async for document in found]

    async def _judge(self, entry: LogEntry) -> Insertion:
        stored = await self._changes.find_one({"chatId": ObjectId(entry.chat_id), "seq": entry.seq})
        if stored is not None and stored["event"] == entry.event:
            return Insertion(Verdict.REPEAT)
        return Insertion(
            Verdict.REJECTED, f"position {entry.seq} of chat {entry.chat_id} holds another change"
        )


def _to_document(entry: LogEntry) -> Document:
    if not isinstance(entry.body, Change):
        raise TypeError("a message is not stored among the changes")
    return {
        "_id": ObjectId(),
        "chatId": ObjectId(entry.chat_id),
        "epoch": entry.epoch,
        "seq": entry.seq,
        "number": entry.number,
        "type": entry.body.kind,
        "actorId": entry.body.actor_id,
        "event": entry.event,
        "createdAt": DatetimeMS(entry.occurred_at_ms),
    }


def _to_entry(document: Document) -> LogEntry:
    return LogEntry(
        str(document["chatId"]),
        document["epoch"],
        document["seq"],
        document["number"],
        int(document["createdAt"]),
        body=Change(document["type"], document["actorId"]),
        event=document["event"],
    )
