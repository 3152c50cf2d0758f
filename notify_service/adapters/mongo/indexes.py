"""Every index, in one place. Collections that are not named have only `_id`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import DESCENDING, IndexModel

_WAITING: Final[dict[str, Any]] = {"waiting": True}
_HOOKS: Final[dict[str, Any]] = {"lane": "hook"}
_NEWEST_FIRST: Final = [("at", DESCENDING), ("_id", DESCENDING)]

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
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
    "digests": [
        IndexModel([("dueAt", 1)], name="due", sparse=True),
        IndexModel([("leaseUntil", 1)], name="left_behind", sparse=True),
    ],
    "inbox": [
        IndexModel([("due", 1)], name="due", sparse=True),
        IndexModel([("userId", 1)], name="of_user"),
        IndexModel([("usedAt", 1)], name="unused", expireAfterSeconds=30 * 86_400),
    ],
    "ledger": [
        IndexModel([("users", 1), *_NEWEST_FIRST], name="of_user"),
        IndexModel([("messages", 1), *_NEWEST_FIRST], name="of_message"),
    ],
}

KEPT_SINCE: Final[Mapping[str, str]] = {"ledger": "at", "deliveries": "settledAt"}
"""What is removed some time after the date in this field; documents without it stay."""

RETIRED: Final[Mapping[str, Sequence[str]]] = {"ledger": ("one_per_slot", "by_user", "by_message")}
"""Indexes of earlier versions, whose rules hold no longer."""
