"""Where a backup ends, chat by chat, while messages go on being stored.

Chats are read first. What is read of a chat afterwards is cut at the head that it had then: an entry beyond
it, and a pointer beyond it, would belong to a log that the restored chat does not know.
"""

from dataclasses import dataclass
from typing import Any, Final

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

FIRST: Final = "chats"
"""The collection that must be read before the others."""


@dataclass(frozen=True, slots=True)
class _Head:
    seq: int
    number: int


class Cut:
    """Remembers the heads, about 200 bytes a chat."""

    def __init__(self) -> None:
        self._heads: dict[ObjectId, _Head] = {}

    def keep(self, collection: str, document: RawBSONDocument) -> bytes | None:
        """The document as it goes into the backup; None where it does not."""
        match collection:
            case "chats":
                self._heads[document["_id"]] = _Head(document["lastSeq"], document["lastNumber"])
            case "messages" | "changes":
                return self._entry(document)
            case "memberships":
                return self._membership(document)
        return bytes(document.raw)

    def _entry(self, entry: RawBSONDocument) -> bytes | None:
        head = self._heads.get(entry["chatId"])
        return bytes(entry.raw) if head is not None and entry["seq"] <= head.seq else None

    def _membership(self, membership: RawBSONDocument) -> bytes | None:
        head = self._heads.get(membership["chatId"])
        if head is None:
            return None
        limits = {"readSeq": head.seq, "deliveredSeq": head.seq, "readNumber": head.number}
        beyond = {name: limit for name, limit in limits.items() if membership.get(name, 0) > limit}
        if not beyond:
            return bytes(membership.raw)
        document: dict[str, Any] = bson.decode(membership.raw)
        return bson.encode({**document, **beyond})
