"""The connection, the indexes, and what the driver's errors mean."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure

from mesh.backoff import Backoff
from mesh.errors import Unavailable, unavailable
from mesh.logs import get_logger
from mesh.mongo_timing import MongoTiming
from notify_service.adapters.mongo.indexes import INDEXES, KEPT_SINCE, RETIRED

DATABASE: Final = "parley_notify"
Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]

_log = get_logger()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Less than the 5 s that callers of an RPC usually wait, so that they are told what is down.
_OPERATION_MS: Final = 3_000
_PING_SECONDS: Final = 1.5

_DUPLICATE_KEY: Final = 11_000
# They blame the document: BadValue, TypeMismatch, DocumentValidationFailure, BSONObjectTooLarge, a key that
# is too large to index. All others blame the server.
_DOCUMENT_FAULTS: Final = frozenset({2, 14, 121, 10_334, 17_280})
_KEPT_INDEX: Final = "kept"


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """The database while entered. Does not wait for the server: operations do, up to 3 s each.

    A majority has what was written in its journal, and reads go to the primary, whatever the URL says: who
    decides about an attempt must not decide by a ledger of before.
    """
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        url,
        appname="parley-notify",
        event_listeners=[MongoTiming()],
        tz_aware=True,
        serverSelectionTimeoutMS=2_000,
        timeoutMS=_OPERATION_MS,
        w="majority",
        journal=True,
        readPreference="primary",
    )
    try:
        yield client[DATABASE]
    finally:
        client.close()


async def ensure_indexes(database: Database, *, keep_days: float = 30.0) -> None:
    """As `make_indexes`, waiting for MongoDB as long as it takes."""
    backoff = Backoff(base=0.2, cap=5.0)
    while True:
        try:
            with reachable():
                await make_indexes(database, keep_days=keep_days)
        except Unavailable:
            await asyncio.sleep(backoff.next_delay())
        else:
            return


async def make_indexes(database: Database, *, keep_days: float) -> None:
    """Makes the indexes that are missing. Idempotent.

    Those that let MongoDB remove what is old are changed where another time to keep it was set.

    Raises:
        PyMongoError: MongoDB is away or refuses.
    """
    for collection, names in RETIRED.items():
        await _drop_indexes(database, collection, names)
    for collection, indexes in INDEXES.items():
        await database[collection].create_indexes(list(indexes))
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
        await database[collection].create_index(field, name=_KEPT_INDEX, expireAfterSeconds=seconds)
    elif index["expireAfterSeconds"] != seconds:
        change = {"name": _KEPT_INDEX, "expireAfterSeconds": seconds}
        await database.command({"collMod": collection, "index": change})


async def ping(database: Database) -> None:
    """Returns when the server answers.

    Raises:
        Unavailable: it does not, within 1.5 s.
    """
    with reachable(), pymongo.timeout(_PING_SECONDS):
        await database.command("ping")


class WriteRefusedError(Exception):
    """The server takes a write for wrong, now and later: a defect. Says nothing of what was to be written."""


@contextmanager
def reachable() -> Iterator[None]:
    """Turns what the server or the way to it is to blame for into `Unavailable`.

    That includes refusals such as a full disk or a login that was withdrawn: whoever waits for MongoDB waits
    for these to be repaired as well, and no job is given up for them. What is left are duplicate keys and
    defects.
    """
    try:
        yield
    except (DuplicateKeyError, BulkWriteError):
        raise
    except (ConnectionFailure, OperationFailure) as error:
        code = getattr(error, "code", None)
        if code is not None:
            _log.warning("mongodb.refused", code=code, error=str(error)[:500])
        raise unavailable("mongodb") from error


async def insert_new(collection: Collection, documents: Sequence[Document]) -> None:
    """Inserts those that break no unique index, in one round trip.

    Raises:
        Unavailable: the server cannot be reached, or did not confirm.
    """
    if not documents:
        return
    try:
        with reachable():
            await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        require_duplicates(error)


async def bulk_write(collection: Collection, updates: Sequence[UpdateOne | UpdateMany]) -> int:
    """Makes the updates in one round trip, in any order; how many documents they found.

    Raises:
        Unavailable: the server cannot be reached, or did not confirm.
    """
    if not updates:
        return 0
    try:
        with reachable():
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
        raise unavailable("mongodb", f"mongodb did not confirm a write: codes {codes}") from None


def to_time(epoch_ms: int) -> datetime:
    """A BSON date: the milliseconds are kept exactly."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def to_ms(time: datetime) -> int:
    """Milliseconds since the Unix epoch."""
    return (time - _EPOCH) // timedelta(milliseconds=1)
