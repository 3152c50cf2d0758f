"""Collection `keys`: `_id` is what the key is for; `pem`, `createdAt`."""

from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from mesh.clock import now_ms
from mesh.mongo import Mongo
from notify_service.adapters.mongo.database import to_time
from notify_service.ports import KeyStore


class MongoKeyStore(KeyStore):
    """A `KeyStore`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._keys = mongo.collection("keys")

    @override
    async def find(self, name: str) -> bytes | None:
        """The key that is kept."""
        with self._mongo.guard():
            document = await self._keys.find_one({"_id": name})
        return None if document is None else bytes(document["pem"])

    @override
    async def add(self, name: str, pem: bytes) -> bool:
        """Keeps a key under a name that has none: the identity is unique, so one of several tries wins."""
        try:
            with self._mongo.guard():
                await self._keys.insert_one({"_id": name, "pem": pem, "createdAt": to_time(now_ms())})
        except DuplicateKeyError:
            return False
        return True
