"""The connection, the indexes, and what the driver's errors mean."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import DESCENDING, IndexModel
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure

from mesh.backoff import Backoff
from mesh.errors import Unavailable, unavailable
from mesh.logs import get_logger

DATABASE: Final = "parley_notify"
Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]

_log = get_logger()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Less than the 5 s that callers of an RPC usually wait, so that they are told what is down.
_OPERATION_MS: Final = 3_000
_PING_SECONDS: Final = 1.5

_INDEXES: Final = {
    "devices": [
        IndexModel([("userId", 1), ("kind", 1), ("address", 1)], unique=True, name="one_per_address"),
        IndexModel(
            [("kind", 1), ("address", 1)],
            unique=True,
            partialFilterExpression={"exclusive": True},
            name="one_owner_per_address",
        ),
    ],
    "ledger": [
        IndexModel([("userId", 1), ("messageId", 1), ("deviceId", 1)], unique=True, name="one_per_slot"),
        IndexModel([("userId", 1), ("_id", DESCENDING)], name="by_user"),
        IndexModel([("messageId", 1), ("_id", DESCENDING)], name="by_message"),
    ],
}


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """The database while entered. Does not wait for the server: operations do, up to 3 s each."""
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        url,
        appname="parley-notify",
        tz_aware=True,
        serverSelectionTimeoutMS=2_000,
        timeoutMS=_OPERATION_MS,
        w="majority",
    )
    try:
        yield client[DATABASE]
    finally:
        client.close()


async def ensure_indexes(database: Database) -> None:
    """Makes the indexes that are missing, waiting for MongoDB as long as it takes. Idempotent."""
    backoff = Backoff(base=0.2, cap=5.0)
    while True:
        try:
            with reachable():
                for collection, indexes in _INDEXES.items():
                    await database[collection].create_indexes(indexes)
        except Unavailable:
            await asyncio.sleep(backoff.next_delay())
        else:
            return


async def ping(database: Database) -> None:
    """Returns when the server answers.

    Raises:
        Unavailable: it does not, within 1.5 s.
    """
    with reachable(), pymongo.timeout(_PING_SECONDS):
        await database.command("ping")


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


def to_time(epoch_ms: int) -> datetime:
    """A BSON date: the milliseconds are kept exactly."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def to_ms(time: datetime) -> int:
    """Milliseconds since the Unix epoch."""
    return (time - _EPOCH) // timedelta(milliseconds=1)
