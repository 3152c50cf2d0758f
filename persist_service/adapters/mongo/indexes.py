"""Every index, in one place. Collections that are not named have only ``_id``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import ASCENDING, IndexModel

Indexes = Mapping[str, Sequence[IndexModel]]


def _index(*fields: str, unique: bool = False) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in fields], unique=unique)


INDEXES: Final[Indexes] = {
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
        _index("chatId", "joinedAt", "_id"),
        _index("chatId", "role"),
    ],
    "messages": [
        _index("chatId", "seq", unique=True),
        _index("chatId", "senderId", "clientMsgId", unique=True),
        _index("chatId", "number", "seq"),
        _index("senderId"),
        _index("createdAt"),
    ],
    "changes": [_index("chatId", "seq", unique=True)],
    "statistics": [_index("chatId", "day", "block", unique=True)],
}


async def make_indexes(database: AsyncIOMotorDatabase[dict[str, Any]], indexes: Indexes) -> None:
    """Makes those that are missing. Idempotent; raises PyMongoError when MongoDB is away or refuses."""
    for name, models in indexes.items():
        await database[name].create_indexes(list(models))
