"""Collection `subscriptions`: `url`, `types`, `chatIds`, `actorIds`, `includeContent`, `enabled`, `label`.

Also `secrets[{value, madeAt}]` (the newest first), `disabledBecause`, `createdAt`, `updatedAt`. Secrets are
kept as they are: requests cannot be signed with a hash of them.
"""

from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, ReturnDocument
from typing_extensions import override

from mesh.ids import is_object_id
from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.webhooks.event import HookEventType
from notify_service.webhooks.ports import SubscriptionStore
from notify_service.webhooks.subscription import MAX_SECRETS, SigningSecret, Subscription, SubscriptionSpec


class MongoSubscriptionStore(SubscriptionStore):
    """A `SubscriptionStore`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._subscriptions = mongo.collection("subscriptions")

    @override
    async def add(self, spec: SubscriptionSpec, secret: str, at_ms: int) -> Subscription:
        """Stores a new one."""
        at = to_time(at_ms)
        document = {
            "_id": ObjectId(),
            **_spec(spec),
            "secrets": [{"value": secret, "madeAt": at}],
            "disabledBecause": "",
            "createdAt": at,
            "updatedAt": at,
        }
        with self._mongo.guard():
            await self._subscriptions.insert_one(document)
        return _to_subscription(document)

    @override
    async def list(self) -> list[Subscription]:
        """All of them, the oldest first."""
        with self._mongo.guard():
            return [
                _to_subscription(document)
                async for document in self._subscriptions.find().sort("_id", ASCENDING)
            ]

    @override
    async def replace(self, subscription_id: str, spec: SubscriptionSpec, at_ms: int) -> Subscription | None:
        """Replaces what it says; with that, why this service disabled it is history."""
        changes = {**_spec(spec), "disabledBecause": "", "updatedAt": to_time(at_ms)}
        return await self._change(subscription_id, {"$set": changes})

    @override
    async def rotate(self, subscription_id: str, secret: str, at_ms: int) -> Subscription | None:
        """One atomic step, so that two at once give two secrets."""
        at = to_time(at_ms)
        first = {"$each": [{"value": secret, "madeAt": at}], "$position": 0, "$slice": MAX_SECRETS}
        return await self._change(subscription_id, {"$push": {"secrets": first}, "$set": {"updatedAt": at}})

    @override
    async def disable(self, subscription_id: str, url: str, because: str, at_ms: int) -> bool:
        """Compares the URL in the same step."""
        changes = {"enabled": False, "disabledBecause": because, "updatedAt": to_time(at_ms)}
        with self._mongo.guard():
            result = await self._subscriptions.update_one(
                {"_id": ObjectId(subscription_id), "url": url, "enabled": True}, {"$set": changes}
            )
        return result.modified_count == 1

    @override
    async def remove(self, subscription_id: str) -> bool:
        """Removes it."""
        if not is_object_id(subscription_id):
            return False
        with self._mongo.guard():
            result = await self._subscriptions.delete_one({"_id": ObjectId(subscription_id)})
        return result.deleted_count == 1

    async def _change(self, subscription_id: str, update: dict[str, Any]) -> Subscription | None:
        if not is_object_id(subscription_id):
            return None
        with self._mongo.guard():
            document: Document | None = await self._subscriptions.find_one_and_update(
                {"_id": ObjectId(subscription_id)}, update, return_document=ReturnDocument.AFTER
            )
        return _to_subscription(document) if document is not None else None


def _spec(spec: SubscriptionSpec) -> Document:
    return {
        "url": spec.url,
        "types": sorted(kind.value for kind in spec.types),
        "chatIds": sorted(spec.chat_ids),
        "actorIds": sorted(spec.actor_ids),
        "includeContent": spec.include_content,
        "enabled": spec.enabled,
        "label": spec.label,
    }


def _to_subscription(document: Document) -> Subscription:
    return Subscription(
        id=str(document["_id"]),
        spec=SubscriptionSpec(
            url=document["url"],
            types=frozenset(map(HookEventType, document["types"])),
            chat_ids=frozenset(document["chatIds"]),
            actor_ids=frozenset(document["actorIds"]),
            include_content=document["includeContent"],
            enabled=document["enabled"],
            label=document["label"],
        ),
        secrets=tuple(
            SigningSecret(secret["value"], to_ms(secret["madeAt"])) for secret in document["secrets"]
        ),
        created_at_ms=to_ms(document["createdAt"]),
        updated_at_ms=to_ms(document["updatedAt"]),
        disabled_because=document["disabledBecause"],
    )
