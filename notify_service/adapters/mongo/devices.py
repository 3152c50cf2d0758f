"""Collection `devices`: `userId`, `kind`, `address`, `label`, `createdAt`, `refreshedAt`.

Some have `p256dh` and `auth` (Web Push), or `signingSecret` (webhooks). `exclusive` is there, and true, where
one user at a time may have the address: the unique index on kind and address holds for these alone.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from mesh.errors import unavailable
from mesh.ids import is_object_id
from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.domain.device import EXCLUSIVE_KINDS, Device, DeviceKind, WebPushKeys
from notify_service.ports import DeviceStore

_TRIES: Final = 5
"""Registrations of one address that may meet: one of them is stored, and the others try again."""


class MongoDeviceStore(DeviceStore):
    """A `DeviceStore`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._devices = mongo.collection("devices")

    @override
    async def register(
        self,
        user_id: str,
        kind: DeviceKind,
        address: str,
        label: str,
        at_ms: int,
        *,
        keep: int,
        web_push_keys: WebPushKeys | None = None,
        signing_secret: str = "",
        first_secret: str = "",
    ) -> Device:
        """Stores or refreshes one device, and forgets what is beyond `keep`."""
        at = to_time(at_ms)
        changed: Document = {"label": label, "refreshedAt": at}
        first: Document = {"createdAt": at}
        if kind in EXCLUSIVE_KINDS:
            first["exclusive"] = True
        if web_push_keys is not None:
            changed |= {"p256dh": web_push_keys.p256dh, "auth": web_push_keys.auth}
        if signing_secret:
            changed["signingSecret"] = signing_secret
        elif first_secret:
            first["signingSecret"] = first_secret
        with self._mongo.guard():
            document = await self._take(user_id, kind, address, {"$set": changed, "$setOnInsert": first})
            await self._forget_beyond(user_id, keep)
        return _to_device(document)

    @override
    async def list(self, user_id: str) -> list[Device]:
        """The user's devices, the last refreshed first."""
        return list((await self.of_users((user_id,))).get(user_id, ()))

    @override
    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Device]]:
        """The devices of several users, in one round trip."""
        found: defaultdict[str, list[Device]] = defaultdict(list)
        with self._mongo.guard():
            async for document in self._devices.find({"userId": {"$in": list(user_ids)}}):
                found[document["userId"]].append(_to_device(document))
        for devices in found.values():
            devices.sort(key=lambda device: (device.refreshed_at_ms, device.id), reverse=True)
        return found

    @override
    async def get_many(self, device_ids: Collection[str]) -> Mapping[str, Device]:
        """Those that exist, in one round trip."""
        wanted = [ObjectId(device_id) for device_id in device_ids if is_object_id(device_id)]
        with self._mongo.guard():
            found = [_to_device(document) async for document in self._devices.find({"_id": {"$in": wanted}})]
        return {device.id: device for device in found}

    @override
    async def remove(self, user_id: str, device_id: str) -> bool:
        """Removes a device if it is this user's."""
        if not is_object_id(device_id):
            return False
        with self._mongo.guard():
            result = await self._devices.delete_one({"_id": ObjectId(device_id), "userId": user_id})
        return result.deleted_count == 1

    @override
    async def prune(self, device: Device) -> bool:
        """Removes the device as it was read."""
        as_read = {"_id": ObjectId(device.id), "refreshedAt": to_time(device.refreshed_at_ms)}
        with self._mongo.guard():
            result = await self._devices.delete_one(as_read)
        return result.deleted_count == 1

    async def _take(self, user_id: str, kind: DeviceKind, address: str, change: Document) -> Document:
        """Upserts the device, and takes its address from whoever had it.

        The former owner's device goes first: between the two steps nobody gets what is another's. It does not
        become the new one, since what is on its way to a device goes by the device's id.
        """
        own = {"userId": user_id, "kind": kind.value, "address": address}
        for _ in range(_TRIES):
            if kind in EXCLUSIVE_KINDS:
                others = {
                    "kind": kind.value,
                    "address": address,
                    "exclusive": True,
                    "userId": {"$ne": user_id},
                }
                await self._devices.delete_many(others)
            # Where another registration of the address meets this one, there is a duplicate, or no document.
            with suppress(DuplicateKeyError):
                document: Document | None = await self._devices.find_one_and_update(
                    own, change, upsert=True, return_document=ReturnDocument.AFTER
                )
                if document is not None:
                    return document
        raise unavailable("mongodb", "this address is registered again and again just now")

    async def _forget_beyond(self, user_id: str, keep: int) -> None:
        devices = await self.list(user_id)
        if len(devices) > keep:
            excess = [ObjectId(device.id) for device in devices[keep:]]
            await self._devices.delete_many({"_id": {"$in": excess}})


def _to_device(document: Document) -> Device:
    keys = None
    if "p256dh" in document:
        keys = WebPushKeys(p256dh=document["p256dh"], auth=document["auth"])
    return Device(
        id=str(document["_id"]),
        user_id=document["userId"],
        kind=DeviceKind(document["kind"]),
        address=document["address"],
        label=document["label"],
        created_at_ms=to_ms(document["createdAt"]),
        refreshed_at_ms=to_ms(document["refreshedAt"]),
        web_push_keys=keys,
        signing_secret=document.get("signingSecret", ""),
    )
