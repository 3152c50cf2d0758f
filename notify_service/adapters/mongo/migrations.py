"""How documents of older releases become those of this one; applied by `python -m admin migrate`, in order.

A migration gives how many documents it changed. It may be cut off and run again, beside services of the
release before and of this one: it changes only what still has the old form, and leaves nothing that either
cannot read. One that was released stays as it is, in its place.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pymongo import UpdateOne

from mesh.mongo import Collection, Database, Document
from notify_service.adapters.mongo.bulk import bulk_write

_AT_ONCE: Final = 500


async def mute_chats_until(database: Database) -> int:
    """A muted chat was a bare id, in `mutedChatIds`; since it can have an end it is in `mutedChats`."""

    def newer(document: Document) -> Document:
        return {"mutedChats": [{"chatId": chat_id, "until": None} for chat_id in document["mutedChatIds"]]}

    old = {"mutedChatIds": {"$exists": True}, "mutedChats": {"$exists": False}}
    return await _extend(database["preferences"], old, newer)


async def name_all_told_in_the_ledger(database: Database) -> int:
    """An entry of the ledger was about one user and one message; now one decision may be about many."""

    def newer(document: Document) -> Document:
        return {"users": [document["userId"]], "messages": [document["messageId"]]}

    return await _extend(database["ledger"], {"users": {"$exists": False}}, newer)


async def _extend(
    collection: Collection, of_old_form: Document, newer: Callable[[Document], Document]
) -> int:
    """Adds fields, and takes none away: the release before still reads the others."""
    changes: list[UpdateOne] = []
    changed = 0
    async for document in collection.find(of_old_form):
        # Where a service was faster the form is no longer old.
        changes.append(UpdateOne({"_id": document["_id"], **of_old_form}, {"$set": newer(document)}))
        if len(changes) == _AT_ONCE:
            changed += await bulk_write(collection, changes)
            changes.clear()
    return changed + await bulk_write(collection, changes)


MIGRATIONS: Final[Sequence[Callable[[Database], Awaitable[int]]]] = (
    mute_chats_until,
    name_all_told_in_the_ledger,
)
