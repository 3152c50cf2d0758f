"""Collection ``users``: ``userId``, ``name``, ``lastSeen``, ``createdAt``, ``revokedBefore``."""

from collections.abc import Collection as AnyOf

from bson.datetime_ms import DatetimeMS
from pymongo.errors import DuplicateKeyError

from mesh.clock import now_ms
from mesh.mongo import Document, Mongo


class Users:
    """Known users."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._users = mongo.collection("users")

    async def upsert(self, user_id: str, name: str) -> int:
        """Records the user; an empty name keeps the stored one. Since when its tokens are good (ms)."""
        await self._upsert(user_id, {"$set": {"name": name}} if name else {})
        return (await self.revocations([user_id])).get(user_id, 0)

    async def seen(self, user_id: str, at_ms: int) -> None:
        """Records when the user was last online; never moves back."""
        await self._upsert(user_id, {"$max": {"lastSeen": DatetimeMS(at_ms)}})

    async def revoke(self, user_id: str, before_ms: int) -> None:
        """Records that tokens issued before are revoked; never moves back."""
        await self._upsert(user_id, {"$max": {"revokedBefore": DatetimeMS(before_ms)}})

    async def revocations(self, user_ids: AnyOf[str]) -> dict[str, int]:
        """Since when tokens are good (ms), of those of the users who ever had theirs revoked."""
        query = {"userId": {"$in": list(user_ids)}, "revokedBefore": {"$exists": True}}
        with self._mongo.guard():
            found = self._users.find(query, {"_id": 0, "userId": 1, "revokedBefore": 1})
            return {user["userId"]: int(user["revokedBefore"]) async for user in found}

    async def names(self, user_ids: AnyOf[str]) -> dict[str, str]:
        """The names of those who have one."""
        with self._mongo.guard():
            found = self._users.find({"userId": {"$in": list(user_ids)}}, {"_id": 0, "userId": 1, "name": 1})
            return {user["userId"]: user["name"] async for user in found if user.get("name")}

    async def _upsert(self, user_id: str, update: Document) -> None:
        update = {**update, "$setOnInsert": {"createdAt": DatetimeMS(now_ms())}}
        with self._mongo.guard():
            try:
                await self._users.update_one({"userId": user_id}, update, upsert=True)
            except DuplicateKeyError:
                # Two upserts of a new user met; now the user is there.
                await self._users.update_one({"userId": user_id}, update)
