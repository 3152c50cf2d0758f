"""The documents of collection `deliveries`, and how they change.

`key`, `lane`, `provider`, `targetId`, `userId`, `chatId`, `messageIds`, `payload`, `createdAt`, `expiresAt`,
`attempt` (how many have begun). On its way: `waiting` true and `dueAt`; while somebody holds it, `holder` is
set and `dueAt` is when the claim runs out, so that one index finds what is due and what was abandoned.
Settled: `outcome`, `settledAt`, and for a hook `contentUntil`. `detail` is what the provider said last.
"""

from typing import Final

from bson import ObjectId
from pymongo import UpdateOne

from mesh.mongo import Document
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.domain.delivery import (
    Attempt,
    AttemptOutcome,
    Delivery,
    Lane,
    NewDelivery,
    StoredDelivery,
)

REPLAY_MS: Final = 86_400_000
"""How long the content of a settled hook is kept: as long as it can be replayed."""
WAITING: Final[Document] = {"waiting": True}
HOOKS: Final[Document] = {"lane": Lane.HOOK.value}


def delayed(attempt: Attempt, holder: str) -> UpdateOne:
    """The attempt did not succeed, and the delivery is free until the next is due."""
    return UpdateOne(
        {
            "_id": ObjectId(attempt.delivery.id),
            "holder": holder,
            "attempt": attempt.delivery.attempt,
            **WAITING,
        },
        {
            "$set": {"dueAt": to_time(attempt.next_at_ms), "detail": attempt.detail},
            "$unset": {"holder": ""},
        },
    )


def settled_as(outcome: AttemptOutcome, lane: Lane, detail: str, at_ms: int) -> Document:
    """It is on its way no more; content is forgotten now, or that of hooks a day later."""
    values: Document = {"outcome": outcome.value, "settledAt": to_time(at_ms), "detail": detail}
    over = {"waiting": "", "dueAt": "", "holder": ""}
    if lane is Lane.HOOK:
        values["contentUntil"] = to_time(at_ms + REPLAY_MS)
    else:
        over["payload"] = ""
    return {"$set": values, "$unset": over}


def due_again(at_ms: int, expires_at_ms: int, payload: bytes | None = None) -> Document:
    """What was settled is on its way once more, with other content if there is any."""
    values: Document = {**WAITING, "dueAt": to_time(at_ms), "expiresAt": to_time(expires_at_ms)}
    if payload is not None:
        values["payload"] = payload
    return {
        "$set": values,
        "$unset": {"outcome": "", "settledAt": "", "contentUntil": "", "detail": ""},
    }


def to_document(delivery: NewDelivery) -> Document:
    """As it is stored first."""
    created = to_time(delivery.created_at_ms)
    traced = {"traceparent": delivery.traceparent} if delivery.traceparent else {}
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
        **WAITING,
        "dueAt": created,
        **traced,
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
        traceparent=document.get("traceparent", ""),
    )


def to_delivery(document: Document) -> Delivery:
    """As the engine takes it."""
    return Delivery(
        id=str(document["_id"]),
        attempt=document["attempt"],
        what=_to_new(document),
        last_detail=document.get("detail", ""),
    )


def to_stored(document: Document) -> StoredDelivery:
    """As it is looked up."""
    outcome = document.get("outcome")
    return StoredDelivery(
        id=str(document["_id"]),
        attempts=document["attempt"],
        what=_to_new(document),
        outcome=None if outcome is None else AttemptOutcome(outcome),
        last_detail=document.get("detail", ""),
        at_ms=to_ms(document["dueAt"] if outcome is None else document["settledAt"]),
    )
