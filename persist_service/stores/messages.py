"""Collection ``messages``. Unique: ``_id``, ``(chatId, seq)``, ``(chatId, senderId, clientMsgId)``."""

import asyncio
from collections.abc import Collection as AnyOf
from collections.abc import Sequence
from typing import Final

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DocumentTooLarge

from mesh.errors import unavailable
from mesh.mongo import DEPENDENCY, Document, Mongo
from mesh.parts import parts
from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.log import EPOCH_JUMP, Insertion, SendKey, Verdict
from persist_service.stores.bulk import failures
from persist_service.stores.message_types import type_from_document, type_to_document

_STORED: Final = Insertion(Verdict.STORED)
_REPEAT: Final = Insertion(Verdict.REPEAT)
_DUPLICATE: Final = Insertion(Verdict.DUPLICATE)
_BEYOND: Final = 2**63 - 1
_IDS_AT_ONCE: Final = 200


class Messages:
    """The stored messages of all chats."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._messages = mongo.collection("messages")

    async def insert(self, events: Sequence[ChatEvent]) -> list[Insertion]:
        """Stores messages; what became of each, in order. Storing again what is stored changes nothing.

        Plain inserts, since almost nothing repeats; what collides is judged after.
        """
        insertions = [_STORED] * len(events)
        documents = list(map(_to_document, events))
        with self._mongo.guard():
            try:
                await self._messages.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                places, faults = failures(error)
                for place, code in faults.items():
                    insertions[place] = Insertion(Verdict.REJECTED, f"MongoDB refuses it, code {code}")
                for place, insertion in zip(
                    places, await self._judge([events[place] for place in places]), strict=True
                ):
                    insertions[place] = insertion
            except DocumentTooLarge:
                if len(events) > 1:
                    return [insertion for one in events for insertion in await self.insert([one])]
                insertions[0] = Insertion(Verdict.REJECTED, "larger than a MongoDB document may be")
        return insertions

    async def find(self, chat_id: str, message_id: str) -> Message | None:
        """A message."""
        with self._mongo.guard():
            found = await self._messages.find_one({"_id": ObjectId(message_id), "chatId": ObjectId(chat_id)})
        return None if found is None else _to_message(found)

    async def last(self, chat_id: str, limit: int, *, head_seq: int) -> list[Message]:
        """The last messages, the very last first, also those that the head has not counted yet.

        ``head_seq`` is about where the log ends; it saves reading, no more.
        """
        return await self._page(ObjectId(chat_id), limit, ("seq",), below=_BEYOND, near=head_seq + 1)

    async def before(self, chat_id: str, limit: int, *, seq: int, number: int) -> list[Message]:
        """Up to ``limit`` messages with a smaller position and count (0 sets no bound, one is set).

        The last first.
        """
        chat = ObjectId(chat_id)
        if not number:
            return await self._page(chat, limit, ("seq",), below=seq, near=seq)
        also = [{"seq": {"$lt": seq}}] if seq else []
        # Two epochs may share some numbers: then the later epoch's message comes first.
        return await self._page(chat, limit, ("number", "seq"), below=number, near=number, also=also)

    async def between(self, chat_id: str, after: int, upto: int, limit: int) -> list[ChatEvent]:
        """The first messages with ``after < seq <= upto``, in order."""
        query = {"chatId": ObjectId(chat_id), "seq": {"$gt": after, "$lte": upto}}
        with self._mongo.guard():
            found = self._messages.find(query).sort("seq", ASCENDING).limit(limit)
            return [_to_event(document) async for document in found]

    async def find_sends(self, keys: Sequence[SendKey]) -> list[ChatEvent | None]:
        """What is stored under each key, in order. One query per chat and sender."""
        wanted: dict[tuple[str, str], list[str]] = {}
        for key in keys:
            wanted.setdefault((key.chat_id, key.sender_id), []).append(key.client_msg_id)
        with self._mongo.guard():
            pages = await asyncio.gather(
                *(
                    self._messages.find(
                        {"chatId": ObjectId(chat), "senderId": sender, "clientMsgId": {"$in": ids}}
                    ).to_list(None)
                    for (chat, sender), ids in wanted.items()
                )
            )
        found = [_to_event(document) for page in pages for document in page]
        stored = {
            SendKey(one.chat_id, one.message.sender_id, one.message.client_msg_id): one for one in found
        }
        return [stored.get(key) for key in keys]

    async def deleted(self, keys: AnyOf[tuple[str, str]]) -> set[str]:
        """The ids of those of the messages, ``(chat_id, message_id)``, that were deleted or do not exist.

        A long list of ids is asked for in parts, which some servers answer quicker.
        """
        ids = sorted({message_id for _, message_id in keys})
        with self._mongo.guard():
            pages = await asyncio.gather(
                *(
                    self._messages.find(
                        {"_id": {"$in": list(map(ObjectId, part))}, "deletedAt": None}, {"chatId": 1}
                    ).to_list(None)
                    for part in parts(ids, _IDS_AT_ONCE)
                )
            )
        alive = {(str(found["chatId"]), str(found["_id"])) for page in pages for found in page}
        return {message_id for chat_id, message_id in keys if (chat_id, message_id) not in alive}

    async def _page(
        self,
        chat: ObjectId,
        limit: int,
        fields: tuple[str, ...],
        *,
        below: int,
        near: int,
        also: Sequence[Document] = (),
    ) -> list[Message]:
        """Backwards through tight ranges of the first field until ``limit`` were found or the log begins.

        The first range ends at ``below``, and its width is counted from ``near``. Positions have holes, since
        other changes count too: hence the margin, and a second, wider range. A hole wider than that is the
        jump between two epochs, and the third range reaches just across it. So no range holds many more
        messages than are wanted, also where ``limit`` does not end the reading.
        """
        order = [(field, DESCENDING) for field in fields]
        widths = (limit + 16, 8 * limit, EPOCH_JUMP)
        page: list[Message] = []
        step = 0
        while len(page) < limit and below > 1:
            lower = max(1, near - widths[step % len(widths)])
            in_range = {"chatId": chat, fields[0]: {"$gte": lower, "$lt": below}}
            with self._mongo.guard():
                found = self._messages.find({"$and": [in_range, *also]} if also else in_range).sort(order)
                page += [_to_message(document) async for document in found.limit(limit - len(page))]
            below, near, step = lower, lower, step + 1
        return page

    async def _judge(self, events: Sequence[ChatEvent]) -> list[Insertion]:
        """What messages are whose insertion met a duplicate key."""
        ids = [ObjectId(event.message.id) for event in events]
        fields = {"chatId": 1, "seq": 1}
        same_id = {
            str(found["_id"]): found async for found in self._messages.find({"_id": {"$in": ids}}, fields)
        }
        return [await self._judge_one(event, same_id.get(event.message.id)) for event in events]

    async def _judge_one(self, event: ChatEvent, same_id: Document | None) -> Insertion:
        chat, message = ObjectId(event.chat_id), event.message
        if same_id is not None:
            if (same_id["chatId"], same_id["seq"]) == (chat, event.seq):
                return _REPEAT
            return Insertion(Verdict.REJECTED, f"message id {message.id} is stored at another position")
        if await self._messages.find_one({"chatId": chat, "seq": event.seq}, {"_id": 1}) is not None:
            return Insertion(
                Verdict.REJECTED, f"position {event.seq} of chat {event.chat_id} holds another message"
            )
        key = {"chatId": chat, "senderId": message.sender_id, "clientMsgId": message.client_msg_id}
        first = await self._messages.find_one(key, {"_id": 1, "type": 1, "content": 1, "mentions": 1})
        if first is not None:
            said = (type_from_document(first["type"]), first["content"], list(first.get("mentions", ())))
            if said == (message.type, message.content, list(message.mentions)):
                return _DUPLICATE
            return Insertion(
                Verdict.REJECTED, f"message {first['_id']} has the same clientMsgId and other content"
            )
        # Whatever it collided with is gone: trying again will tell.
        raise unavailable(DEPENDENCY, "mongodb: a document vanished while it was compared")


def _to_document(event: ChatEvent) -> Document:
    message = event.message
    return {
        "_id": ObjectId(message.id),
        "chatId": ObjectId(message.chat_id),
        "seq": event.seq,
        "number": event.number,
        "epoch": event.epoch,
        "senderId": message.sender_id,
        "type": type_to_document(message.type),
        "content": message.content,
        "clientMsgId": message.client_msg_id,
        "createdAt": DatetimeMS(message.created_at_ms),
        **({"mentions": list(message.mentions)} if message.mentions else {}),
    }


def _to_message(document: Document, *, placed: bool = True) -> Message:
    return Message(
        id=str(document["_id"]),
        chat_id=str(document["chatId"]),
        seq=document["seq"] if placed else 0,
        number=document["number"] if placed else 0,
        sender_id=document["senderId"],
        type=type_from_document(document["type"]),
        content=document["content"],
        client_msg_id=document["clientMsgId"],
        created_at_ms=int(document["createdAt"]),
        mentions=document.get("mentions", ()),
    )


def _to_event(document: Document) -> ChatEvent:
    message = _to_message(document, placed=False)
    return ChatEvent(
        chat_id=message.chat_id,
        occurred_at_ms=message.created_at_ms,
        epoch=document["epoch"],
        seq=document["seq"],
        number=document["number"],
        id=message.id,
        message=message,
    )
