"""Every index, in one place. Collections that are not named have only `_id`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import DESCENDING, IndexModel

from mesh.mongo import Database
from mesh.mongo_indexes import build_indexes
from notify_service.adapters.mongo import appointments

_WAITING: Final[dict[str, Any]] = {"waiting": True}
_HOOKS: Final[dict[str, Any]] = {"lane": "hook"}
_NEWEST_FIRST: Final = [("at", DESCENDING), ("_id", DESCENDING)]

NEEDED: Final[Mapping[str, Sequence[IndexModel]]] = {
    "devices": [
        IndexModel([("userId", 1), ("kind", 1), ("address", 1)], unique=True, name="one_per_address"),
        IndexModel(
            [("kind", 1), ("address", 1)],
            unique=True,
            partialFilterExpression={"exclusive": True},
            name="one_owner_per_address",
        ),
    ],
    "deliveries": [
        IndexModel([("key", 1)], unique=True, name="one_per_key"),
        # What is settled is in none of the next four: they stay as small as the backlog.
        IndexModel([("provider", 1), ("dueAt", 1)], name="due", partialFilterExpression=_WAITING),
        IndexModel([("expiresAt", 1)], name="expiring", partialFilterExpression=_WAITING),
        IndexModel([("lane", 1), ("createdAt", 1)], name="backlog", partialFilterExpression=_WAITING),
        IndexModel([("userId", 1)], name="waiting_for_user", partialFilterExpression=_WAITING),
        IndexModel([("targetId", 1), ("_id", DESCENDING)], name="of_hook", partialFilterExpression=_HOOKS),
        IndexModel([("contentUntil", 1)], name="contents", sparse=True),
    ],
    "active_users": appointments.INDEXES,
    "digests": appointments.INDEXES,
    "inbox": [IndexModel([("due", 1)], name="due", sparse=True)],
    "ledger": [IndexModel([("users", 1), *_NEWEST_FIRST], name="of_user")],
}
"""Without these something would be done twice, or what is asked all the time would read whole collections."""

LATER: Final[Mapping[str, Sequence[IndexModel]]] = {
    "inbox": [
        IndexModel([("userId", 1)], name="of_user"),
        IndexModel([("usedAt", 1)], name="unused", expireAfterSeconds=30 * 86_400),
    ],
    "ledger": [
        IndexModel([("messages", 1), *_NEWEST_FIRST], name="of_message"),
    ],
}
"""What the service can do without while they are built: only operators ask the ledger for messages, and
MongoDB removes what is old a little later."""

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    name: [*NEEDED.get(name, ()), *LATER.get(name, ())] for name in (*NEEDED, *LATER)
}
"""All of them, but for those that remove what is older than the settings say."""

KEPT_SINCE: Final[Mapping[str, str]] = {"ledger": "at", "deliveries": "settledAt"}
"""What is removed some time after the date in this field; documents without it stay."""

RETIRED: Final[Mapping[str, Sequence[str]]] = {"ledger": ("one_per_slot", "by_user", "by_message")}
"""Indexes of earlier versions, whose rules hold no longer."""

_KEPT_INDEX: Final = "kept"


async def make_indexes(database: Database, *, keep_days: float = 30.0) -> None:
    """Makes the indexes that are missing. Idempotent.

    Those that let MongoDB remove what is old are changed where another time to keep it was set.

    Raises:
        PyMongoError: MongoDB is away or refuses.
    """
    await make_needed(database)
    await make_others(database, keep_days=keep_days)


async def make_needed(database: Database) -> None:
    """Those of them without which the service must not begin. Idempotent; raises as `make_indexes` does."""
    for collection, names in RETIRED.items():
        await _drop_indexes(database, collection, names)
    for collection, indexes in NEEDED.items():
        await build_indexes(database[collection], indexes)


async def make_others(database: Database, *, keep_days: float) -> None:
    """The rest of them. Idempotent; raises as `make_indexes` does."""
    for collection, indexes in LATER.items():
        await build_indexes(database[collection], indexes)
    for collection, field in KEPT_SINCE.items():
        await _keep(database, collection, field, int(keep_days * 86_400))


async def _drop_indexes(database: Database, collection: str, names: Sequence[str]) -> None:
    existing = await database[collection].index_information()
    for name in names:
        if name in existing:
            await database[collection].drop_index(name)


async def _keep(database: Database, collection: str, field: str, seconds: int) -> None:
    index = (await database[collection].index_information()).get(_KEPT_INDEX)
    if index is None:
        kept = IndexModel(field, name=_KEPT_INDEX, expireAfterSeconds=seconds)
        await build_indexes(database[collection], [kept])
    elif index["expireAfterSeconds"] != seconds:
        change = {"name": _KEPT_INDEX, "expireAfterSeconds": seconds}
        await database.command({"collMod": collection, "index": change})
