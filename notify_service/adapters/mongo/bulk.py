"""Bulk writes whose repeats are harmless, and what it means when they fail. Use them inside `Mongo.guard`."""

from collections.abc import Sequence
from typing import Final

from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError

from mesh.errors import unavailable
from mesh.mongo import DEPENDENCY, Collection, Document

_DUPLICATE_KEY: Final = 11_000
# They blame the document: BadValue, TypeMismatch, DocumentValidationFailure, BSONObjectTooLarge, a key that
# is too large to index. All others blame the server.
_DOCUMENT_FAULTS: Final = frozenset({2, 14, 121, 10_334, 17_280})


class WriteRefusedError(Exception):
    """The server takes a write for wrong, now and later: a defect. Says nothing of what was to be written."""


async def insert_new(collection: Collection, documents: Sequence[Document]) -> None:
    """Inserts those that break no unique index, in one round trip.

    Raises:
        Unavailable: the server did not confirm.
    """
    if not documents:
        return
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        require_duplicates(error)


async def bulk_write(collection: Collection, updates: Sequence[UpdateOne | UpdateMany]) -> int:
    """Makes the updates in one round trip, in any order; how many documents they found.

    Raises:
        Unavailable: the server did not confirm.
    """
    if not updates:
        return 0
    try:
        result = await collection.bulk_write(updates, ordered=False)
    except BulkWriteError as error:
        require_duplicates(error)
        raise WriteRefusedError("mongodb met a duplicate key where none can be") from None
    return result.matched_count


def require_duplicates(error: BulkWriteError) -> None:
    """Returns where nothing but duplicate keys stood against an unordered bulk write.

    The driver's error quotes the documents, which hold content and addresses, so it is not in the chain.

    Raises:
        Unavailable: the server is at fault, for a full disk say, or did not confirm.
        WriteRefusedError: a document is.
    """
    details = error.details or {}
    codes = sorted({failure["code"] for failure in details.get("writeErrors", ())})
    if faults := _DOCUMENT_FAULTS.intersection(codes):
        raise WriteRefusedError(f"mongodb refuses a document: code {min(faults)}") from None
    if codes != [_DUPLICATE_KEY] or details.get("writeConcernErrors"):
        raise unavailable(DEPENDENCY, f"mongodb did not confirm a write: codes {codes}") from None
