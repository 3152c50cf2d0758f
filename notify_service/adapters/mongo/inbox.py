"""Collection `inbox`: one document per user and chat, as `domain.inbox.Inbox` says.

`_id` is `<chatId>:<userId>`; `userId`, `version` (another one with every change), `usedAt`, and what there is
of `waiting`, `firing`, `claim`, `claimedUntil`, `handled`, `floor`, `notifiedSeq`, `notifiedAt`, `readSeq`,
`leftSeq`, `shown`. `due` is derived from them when they are stored, for its index. A document that was not
used for 30 days is removed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError
from typing_extensions import override

from mesh.clock import now_ms
from mesh.ids import new_object_id
from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.bulk import require_duplicates
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.domain.decision import Reason
from notify_service.domain.push import Push
from notify_service.domain.wording import Preview
from notify_service.inbox.inbox import Batch, Inbox, InboxKey, Rhythm, Shown, WaitingMessage
from notify_service.inbox.ports import Inboxes, PushFilter

# Fewer documents than would keep one operation from ending in its time.
_AT_ONCE: Final = 200


class MongoInboxes(Inboxes, PushFilter):
    """An `Inboxes` and a `PushFilter`.

    A document is replaced only in the version that was read, so that no change is lost.
    """

    def __init__(self, mongo: Mongo, rhythm: Rhythm) -> None:
        self._mongo = mongo
        self._inbox = mongo.collection("inbox")
        self._rhythm = rhythm

    @override
    async def change(self, changes: Mapping[InboxKey, Callable[[Inbox], Inbox]]) -> None:
        """Two round trips for some hundreds, and two or three more for those that others were faster with."""
        left = iter(changes.items())
        while some := dict(islice(left, _AT_ONCE)):
            while some:
                before = await self._load(some)
                changed = {key: change(before[key]) for key, change in some.items()}
                new = [inbox for key, inbox in changed.items() if inbox is not before[key]]
                stored = await self._store(new)
                some = {inbox.key: some[inbox.key] for inbox in new if inbox.key not in stored}

    @override
    async def claim(
        self, at_ms: int, until_ms: int, limit: int, *, latest_first: bool = False
    ) -> list[Inbox]:
        """Two round trips, and one more when another process was faster with some."""
        with self._mongo.guard():
            found = self._inbox.find({"due": {"$lte": to_time(at_ms)}})
            cursor = found.sort("due", DESCENDING if latest_first else ASCENDING).limit(limit)
            due = [_to_inbox(document) async for document in cursor]
        claim_id = new_object_id()
        claimed = [inbox.claim(claim_id, until_ms) for inbox in due]
        # Also ours if a message has come to wait behind it by the time that we look.
        stored = await self._store(claimed, {"claim": ObjectId(claim_id)})
        return [inbox for inbox in claimed if inbox.key in stored]

    @override
    async def is_waiting(self, user_id: str, message_id: str) -> bool:
        """One round trip over the inboxes of the user."""
        wanted = ObjectId(message_id)
        either = [{f"{place}.messages.id": wanted} for place in ("waiting", "firing")]
        with self._mongo.guard():
            return await self._inbox.find_one({"userId": user_id, "$or": either}, {"_id": 1}) is not None

    @override
    async def why_outdated(self, pushes: Collection[tuple[str, Push]]) -> Mapping[tuple[str, Push], Reason]:
        """One round trip."""
        inboxes = await self._load({InboxKey(user_id, push.chat_id) for user_id, push in pushes})
        reasons = {
            (user_id, push): inboxes[InboxKey(user_id, push.chat_id)].why_outdated(push)
            for user_id, push in pushes
        }
        return {pair: reason for pair, reason in reasons.items() if reason is not None}

    async def _load(self, keys: Collection[InboxKey]) -> dict[InboxKey, Inbox]:
        found = {key: Inbox(key) for key in keys}
        with self._mongo.guard():
            async for document in self._inbox.find({"_id": {"$in": [_id(key) for key in keys]}}):
                inbox = _to_inbox(document)
                found[inbox.key] = inbox
        return found

    async def _store(self, inboxes: Sequence[Inbox], mark: Document | None = None) -> Collection[InboxKey]:
        """Those that were stored: nobody has changed them since they were read.

        They are known by `mark`, or by their new version. A change that is made on top at once takes the
        version away, and then it seems that it was not stored.
        """
        if not inboxes:
            return ()
        version = ObjectId()
        writes: list[InsertOne[Document] | ReplaceOne[Document]] = []
        for inbox in inboxes:
            document = self._to_document(inbox, version)
            if inbox.version:
                writes.append(
                    ReplaceOne({"_id": document["_id"], "version": ObjectId(inbox.version)}, document)
                )
            else:
                writes.append(InsertOne(document))
        if await self._write(writes) == len(inboxes):
            return {inbox.key for inbox in inboxes}
        with self._mongo.guard():
            ours = {"_id": {"$in": [_id(inbox.key) for inbox in inboxes]}, **(mark or {"version": version})}
            return {_key(document) async for document in self._inbox.find(ours, {"userId": 1})}

    async def _write(self, writes: Sequence[InsertOne[Document] | ReplaceOne[Document]]) -> int:
        """How many took effect."""
        with self._mongo.guard():
            try:
                result = await self._inbox.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                require_duplicates(error)
                details = error.details or {}
                return int(details["nInserted"] + details["nMatched"])
        return result.inserted_count + result.matched_count

    def _to_document(self, inbox: Inbox, version: ObjectId) -> Document:
        due_ms = inbox.due_ms(self._rhythm)
        document = {
            "_id": _id(inbox.key),
            "userId": inbox.key.user_id,
            "version": version,
            "usedAt": to_time(now_ms()),
            "due": None if due_ms is None else to_time(due_ms),
            "waiting": inbox.waiting and _from_batch(inbox.waiting),
            "firing": inbox.firing and _from_batch(inbox.firing),
            "claim": inbox.claim_id and ObjectId(inbox.claim_id),
            "claimedUntil": inbox.claimed_until_ms and to_time(inbox.claimed_until_ms),
            "handled": list(inbox.handled),
            "floor": inbox.floor,
            "notifiedSeq": inbox.notified_seq,
            "notifiedAt": inbox.notified_at_ms and to_time(inbox.notified_at_ms),
            "readSeq": inbox.read_seq,
            "leftSeq": inbox.left_seq,
            "shown": inbox.shown and _from_shown(inbox.shown),
        }
        return {field: value for field, value in document.items() if value not in (None, 0, "", [])}


def _id(key: InboxKey) -> str:
    return f"{key.chat_id}:{key.user_id}"


def _key(document: Document) -> InboxKey:
    return InboxKey(document["userId"], document["_id"].partition(":")[0])


def _to_inbox(document: Document) -> Inbox:
    claimed_until, notified_at = document.get("claimedUntil"), document.get("notifiedAt")
    return Inbox(
        key=_key(document),
        version=str(document["version"]),
        waiting=_to_batch(document.get("waiting")),
        firing=_to_batch(document.get("firing")),
        claim_id=str(document.get("claim", "")),
        claimed_until_ms=to_ms(claimed_until) if claimed_until else 0,
        handled=tuple(document.get("handled", ())),
        floor=document.get("floor", 0),
        notified_seq=document.get("notifiedSeq", 0),
        notified_at_ms=to_ms(notified_at) if notified_at else 0,
        read_seq=document.get("readSeq", 0),
        left_seq=document.get("leftSeq", 0),
        shown=_to_shown(document.get("shown")),
    )


def _from_batch(batch: Batch) -> Document:
    preview = batch.preview
    return {
        "id": ObjectId(batch.id),
        "firstAt": to_time(batch.first_at_ms),
        "lastAt": to_time(batch.last_at_ms),
        "messages": [_from_message(message) for message in batch.messages],
        "preview": {
            "messageId": ObjectId(preview.message_id),
            "senderId": preview.sender_id,
            "title": preview.title,
            "chatTitle": preview.chat_title,
            "body": preview.body,
            "at": to_time(preview.at_ms),
        },
        "direct": batch.direct,
        "offline": batch.offline,
    }


def _from_message(message: WaitingMessage) -> Document:
    document = {"id": ObjectId(message.id), "seq": message.seq, "mentions": message.mentions}
    return {**document, "traceparent": message.traceparent} if message.traceparent else document


def _to_batch(document: Document | None) -> Batch | None:
    if document is None:
        return None
    preview = document["preview"]
    return Batch(
        id=str(document["id"]),
        first_at_ms=to_ms(document["firstAt"]),
        last_at_ms=to_ms(document["lastAt"]),
        messages=tuple(
            WaitingMessage(
                str(message["id"]), message["seq"], message["mentions"], message.get("traceparent", "")
            )
            for message in document["messages"]
        ),
        preview=Preview(
            message_id=str(preview["messageId"]),
            sender_id=preview["senderId"],
            title=preview["title"],
            chat_title=preview["chatTitle"],
            body=preview["body"],
            at_ms=to_ms(preview["at"]),
        ),
        direct=document["direct"],
        offline=document["offline"],
    )


def _from_shown(shown: Shown) -> Document:
    return {
        "batchId": ObjectId(shown.batch_id),
        "seq": shown.seq,
        "messageId": ObjectId(shown.message_id),
        "deviceIds": [ObjectId(device_id) for device_id in shown.device_ids],
    }


def _to_shown(document: Document | None) -> Shown | None:
    if document is None:
        return None
    return Shown(
        batch_id=str(document["batchId"]),
        seq=document["seq"],
        message_id=str(document["messageId"]),
        device_ids=tuple(str(device_id) for device_id in document["deviceIds"]),
    )
