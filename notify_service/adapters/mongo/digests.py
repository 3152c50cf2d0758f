"""Collection `digests`: appointments, with `mailedAt`."""

from collections.abc import Collection, Mapping, Sequence

from pymongo import UpdateOne
from typing_extensions import override

from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.appointments import RELEASED, Appointments
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.email.digest import DueDigest
from notify_service.email.ports import DigestStore


class MongoDigestStore(DigestStore):
    """A `DigestStore`."""

    def __init__(self, mongo: Mongo, *, after_seconds: float) -> None:
        self._appointments = Appointments(mongo, "digests")
        self._after_ms = round(after_seconds * 1000)

    @override
    async def arm(self, user_ids: Collection[str], at_ms: int) -> None:
        await self._appointments.arm(at_ms + self._after_ms, {user_id: {} for user_id in user_ids})

    @override
    async def claim(self, limit: int, at_ms: int) -> Sequence[DueDigest]:
        return tuple(map(_to_due, await self._appointments.claim(limit, at_ms)))

    @override
    async def settle(self, due: Sequence[DueDigest], at_ms: int, *, mailed: Collection[str]) -> None:
        """Leaves `dueAt` alone: who was armed meanwhile stays armed."""
        mailed_at = {"$set": {"mailedAt": to_time(at_ms)}}
        await self._appointments.end(
            UpdateOne(_held(one), {"$unset": RELEASED, **(mailed_at if one.user_id in mailed else {})})
            for one in due
        )

    @override
    async def put_back(self, due: Mapping[DueDigest, int]) -> None:
        """Arms again."""
        await self._appointments.end(
            UpdateOne(_held(one), {"$unset": RELEASED, "$min": {"dueAt": to_time(again_ms)}})
            for one, again_ms in due.items()
        )


def _held(due: DueDigest) -> Document:
    return {"_id": due.user_id, "claim": due.claim}


def _to_due(document: Document) -> DueDigest:
    mailed_at = document.get("mailedAt")
    return DueDigest(
        user_id=document["_id"],
        due_at_ms=to_ms(document["firingAt"]),
        last_mailed_ms=to_ms(mailed_at) if mailed_at is not None else 0,
        claim=document["claim"],
    )
