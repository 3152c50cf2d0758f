"""Every index, in one place. Collections that are not named have only ``_id``."""

from typing import Final

from pymongo import ASCENDING, IndexModel

from persist_service.adapters.mongo.server import Indexes


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
