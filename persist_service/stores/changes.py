"""Collection ``changes``: all log entries but messages, of any kind; ``event`` holds each as it was logged.

``type`` is the kind for whoever looks at the documents, ``void`` for a position where nothing stands.
"""

from collections.abc import Sequence

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError

from mesh.errors import unavailable
from mesh.mongo import DEPENDENCY, Document, Mongo
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.log import VOID, Insertion, Verdict
from persist_service.stores.bulk import duplicates


class Changes:
    """The stored log entries that are no messages, of whatever kind."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._changes = mongo.collection("changes")

    async def insert(self, events: Sequence[ChatEvent]) -> list[Insertion]:
        """As ``Messages.insert``."""
        insertions = [Insertion(Verdict.STORED)] * len(events)
        with self._mongo.guard():
            try:
                await self._changes.insert_many(list(map(_to_document, events)), ordered=False)
            except BulkWriteError as error:
                for place in duplicates(error):
                    insertions[place] = await self._judge(events[place])
        return insertions

    async def between(self, chat_id: str, after: int, upto: int, limit: int) -> list[ChatEvent]:
        """As ``Messages.between``, as they were logged; a void position has no body."""
        query = {"chatId": ObjectId(chat_id), "seq": {"$gt": after, "$lte": upto}}
        with self._mongo.guard():
            found = self._changes.find(query).sort("seq", ASCENDING).limit(limit)
            return [_to_event(document) async for document in found]

    async def _judge(self, event: ChatEvent) -> Insertion:
        """What an event is whose insertion met a duplicate key: position and id tell, and nothing else."""
        fields = {"_id": 1}
        at_position = {"chatId": ObjectId(event.chat_id), "seq": event.seq}
        stored = await self._changes.find_one(at_position, fields)
        if stored is None:
            if event.id and await self._changes.find_one({"_id": ObjectId(event.id)}, fields) is not None:
                return Insertion(Verdict.REJECTED, f"event {event.id} is stored at another position")
            # Whatever it collided with is gone: trying again will tell.
            raise unavailable(DEPENDENCY, "mongodb: a document vanished while it was compared")
        if str(stored["_id"]) == event.id:
            return Insertion(Verdict.REPEAT)
        return Insertion(
            Verdict.REJECTED, f"position {event.seq} of chat {event.chat_id} holds another event"
        )


def _to_document(event: ChatEvent) -> Document:
    kind = event.WhichOneof("body") or "unknown"
    return {
        # A void position has no id, for the message that it stands for may be stored elsewhere.
        "_id": ObjectId(event.id or None),
        "chatId": ObjectId(event.chat_id),
        "epoch": event.epoch,
        "seq": event.seq,
        "number": event.number,
        "type": kind.replace("_", "-") if event.id else VOID,
        "event": event.SerializeToString(),
        "createdAt": DatetimeMS(event.occurred_at_ms),
    }


def _to_event(document: Document) -> ChatEvent:
    return ChatEvent.FromString(document["event"])
