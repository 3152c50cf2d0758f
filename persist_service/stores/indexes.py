"""Every index, in one place. Collections that are not named have only ``_id``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import ASCENDING, IndexModel

from mesh.mongo_indexes import build_indexes

Indexes = Mapping[str, Sequence[IndexModel]]


def _index(*fields: str, unique: bool = False) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in fields], unique=unique)


NEEDED: Final[Indexes] = {
    "users": [_index("userId", unique=True)],
    "chats": [
        IndexModel(
            [("pairKey", ASCENDING)],
            unique=True,
            partialFilterExpression={"pairKey": {"$exists": True}},
        )
    ],
    "memberships": [
        _index("chatId", "userId", unique=True),
        _index("userId", "chatId"),
        IndexModel(
            [("userId", ASCENDING)], name="addedUnread", partialFilterExpression={"addedUnread": True}
        ),
    ],
    "messages": [
        _index("chatId", "seq", unique=True),
        _index("chatId", "senderId", "clientMsgId", unique=True),
        _index("chatId", "number", "seq"),
    ],
    "changes": [_index("chatId", "seq", unique=True)],
    "statistics": [_index("chatId", "day", "block", unique=True)],
}
"""Without these something would be stored twice, or every call would read a whole collection."""

LATER: Final[Indexes] = {
    "memberships": [_index("chatId", "joinedAt", "_id"), _index("chatId", "role", "joinedAt", "_id")],
    "messages": [_index("senderId"), _index("createdAt")],
}
"""What the service can do without while they are built: others begin with the chat too, or nobody asks."""

INDEXES: Final[Indexes] = {name: [*NEEDED.get(name, ()), *LATER.get(name, ())] for name in (*NEEDED, *LATER)}
"""All of them."""


async def make_indexes(database: AsyncIOMotorDatabase[dict[str, Any]], indexes: Indexes) -> None:
    """Makes those that are missing. Idempotent; raises PyMongoError when MongoDB is away or refuses."""
    for name, models in indexes.items():
        await build_indexes(database[name], models)
