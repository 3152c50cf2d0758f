"""Collection `active_users`: appointments, with `activeAt` and `until` as in `domain.active_user`.

A document is removed when the user was looked at and nothing was suppressed meanwhile.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from pymongo import UpdateOne
from typing_extensions import override

from mesh.mongo import Document, Mongo
from notify_service.adapters.mongo.appointments import RELEASED, Appointments
from notify_service.adapters.mongo.database import to_ms, to_time
from notify_service.inbox.active_user import ActiveUser
from notify_service.inbox.activity_ports import ActiveUserStore


class MongoActiveUserStore(ActiveUserStore):
    """An `ActiveUserStore`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._users = mongo.collection("active_users")
        self._appointments = Appointments(mongo, "active_users")

    @override
    async def arm(self, last_active: Mapping[str, int], due_ms: int) -> None:
        until = to_time(due_ms)
        await self._appointments.arm(
            due_ms,
            {
                user_id: {"$max": {"activeAt": to_time(active_ms), "until": until}}
                for user_id, active_ms in last_active.items()
            },
        )

    @override
    async def claim(self, limit: int, at_ms: int) -> Sequence[ActiveUser]:
        return tuple(map(_to_user, await self._appointments.claim(limit, at_ms)))

    @override
    async def settle(self, users: Collection[ActiveUser]) -> None:
        """Two round trips per claim."""
        claim_of = attrgetter("claim")
        with self._mongo.guard():
            for claim, together in groupby(sorted(users, key=claim_of), key=claim_of):
                held = {"_id": {"$in": [user.user_id for user in together]}, "claim": claim}
                await self._users.delete_many({**held, "dueAt": {"$exists": False}})
                await self._users.update_many(held, {"$unset": RELEASED})

    @override
    async def put_back(self, users: Mapping[ActiveUser, int], last_active: Mapping[str, int]) -> None:
        await self._appointments.end(
            UpdateOne(
                {"_id": user.user_id, "claim": user.claim},
                {
                    "$unset": RELEASED,
                    "$min": {"dueAt": to_time(again_ms)},
                    "$max": {"activeAt": to_time(last_active.get(user.user_id, user.active_at_ms))},
                },
            )
            for user, again_ms in users.items()
        )


def _to_user(document: Document) -> ActiveUser:
    return ActiveUser(
        user_id=document["_id"],
        active_at_ms=to_ms(document["activeAt"]),
        until_ms=to_ms(document["until"]),
        due_at_ms=to_ms(document["firingAt"]),
        claim=document["claim"],
    )
