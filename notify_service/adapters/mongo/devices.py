"""Collection `devices`: `userId`, `kind`, `address`, `label`, `createdAt`, `refreshedAt`."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from notify_service.adapters.mongo.database import Database, Document, reachable, to_ms, to_time
from notify_service.domain.device import Device, DeviceKind


class MongoDeviceStore:
    """A `DeviceStore`."""

    def __init__(self, database: Database) -> None:
        self._devices = database["devices"]

    async def register(
        self, user_id: str, kind: DeviceKind, address: str, label: str, at_ms: int, *, keep: int
    ) -> Device:
        """Stores or refreshes one device, and forgets what is beyond `keep`."""
        with reachable():
            try:
                document = await self._upsert(user_id, kind, address, label, at_ms)
            except DuplicateKeyError:
                # Two upserts of a new device met; by now one of them is stored, and this one refreshes it.
                document = await self._upsert(user_id, kind, address, label, at_ms)
            await self._forget_beyond(user_id, keep)
        return _to_device(document)

    async def list(self, user_id: str) -> list[Device]:
        """The user's devices, the last refreshed first."""
        return list((await self.of_users((user_id,))).get(user_id, ()))

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Device]]:
        """The devices of several users, in one round trip."""
        found: defaultdict[str, list[Device]] = defaultdict(list)
        with reachable():
            async for document in self._devices.find({"userId": {"$in": list(user_ids)}}):
                found[document["userId"]].append(_to_device(document))
        for devices in found.values():
            devices.sort(key=lambda device: (device.refreshed_at_ms, device.id), reverse=True)
        return found

    async def remove(self, user_id: str, device_id: str) -> bool:
        """Removes a device if it is this user's."""
        if not ObjectId.is_valid(device_id):
            return False
        with reachable():
            result = await self._devices.delete_one({"_id": ObjectId(device_id), "userId": user_id})
        return result.deleted_count == 1

    async def _upsert(self, user_id: str, kind: DeviceKind, address: str, label: str, at_ms: int) -> Document:
        at = to_time(at_ms)
        document: Document = await self._devices.find_one_and_update(
            {"userId": user_id, "kind": kind.value, "address": address},
            {"$set": {"label": label, "refreshedAt": at}, "$setOnInsert": {"createdAt": at}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return document

    async def _forget_beyond(self, user_id: str, keep: int) -> None:
        devices = await self.list(user_id)
        if len(devices) > keep:
            excess = [ObjectId(device.id) for device in devices[keep:]]
            await self._devices.delete_many({"_id": {"$in": excess}})


def _to_device(document: Document) -> Device:
    return Device(
        id=str(document["_id"]),
        user_id=document["userId"],
        kind=DeviceKind(document["kind"]),
        address=document["address"],
        label=document["label"],
        created_at_ms=to_ms(document["createdAt"]),
        refreshed_at_ms=to_ms(document["refreshedAt"]),
    )
