"""The connection to MongoDB: durable writes, typed failures, indexes before anything is stored."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from mesh.backoff import Backoff
from mesh.breaker import Breaker
from mesh.errors import unavailable
from mesh.logs import get_logger
from mesh.mongo_timing import MongoTiming
from notify_service.adapters.mongo.indexes import make_indexes

DATABASE: Final = "parley_notify"
DEPENDENCY: Final = "mongodb"
Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]

_log = get_logger()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Less than the 5 s that callers of an RPC usually wait, so that they are told what is down.
_OPERATION_MS: Final = 3_000
_PING_SECONDS: Final = 1.5


class Mongo:
    """One database. Until `prepare` has made the indexes every use is refused: uniqueness rests on them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # An operation waits for a server that hangs, one after the other; after two of them none does.
        self._breaker = Breaker(DEPENDENCY, self._ping, is_silence=_is_silence, threshold=2)
        self._prepared = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, database: str = DATABASE) -> AsyncIterator[Self]:
        """The database while entered. Does not wait for the server: operations do, up to 3 s each.

        A majority has what was written in its journal, and reads go to the primary, whatever the URL says:
        who decides about an attempt must not decide by a ledger of before.
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
            mongo = cls(client[database])
            async with mongo._breaker:
                yield mongo
        finally:
            client.close()

    def collection(self, name: str) -> Collection:
        """A collection; use it inside `guard`."""
        return self._database[name]

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turns what the server or the way to it is to blame for into `Unavailable`.

        That includes refusals such as a full disk or a login that was withdrawn: whoever waits for MongoDB
        waits for these to be repaired as well, and no job is given up for them. What is left are duplicate
        keys and defects. A server that is known to hang is not waited for.
        """
        if not self._prepared.is_set():
            raise unavailable(DEPENDENCY, "the indexes of mongodb are not made yet")
        with self._breaker.guard():
            try:
                yield
            except (DuplicateKeyError, BulkWriteError):
                raise
            except (ConnectionFailure, OperationFailure) as error:
                code = getattr(error, "code", None)
                if code is not None:
                    _log.warning("mongodb.refused", code=code, error=str(error)[:500])
                raise unavailable(DEPENDENCY) from error

    async def prepare(self, *, keep_days: float = 30.0) -> None:
        """Makes the indexes, trying again until all are there. Making an index again changes nothing."""
        backoff = Backoff(base=0.2, cap=5.0)
        while not self._prepared.is_set():
            try:
                await make_indexes(self._database, keep_days=keep_days)
            except PyMongoError as error:
                delay = backoff.next_delay()
                _log.warning(
                    "mongodb.indexes_failed", error=str(error)[:500], retry_in_seconds=round(delay, 2)
                )
                await asyncio.sleep(delay)
            else:
                self._prepared.set()

    async def wait_prepared(self) -> None:
        """Returns once the indexes are made."""
        await self._prepared.wait()

    async def check(self) -> None:
        """A readiness check: the server answers within 1.5 s and the indexes are made; raises if not."""
        with pymongo.timeout(_PING_SECONDS):
            await self._ping()
        self._breaker.answered()  # whoever is told that the service is ready must not be refused
        if not self._prepared.is_set():
            raise unavailable(DEPENDENCY, "the indexes are not made yet")

    async def _ping(self) -> None:
        await self._database.command("ping")


def _is_silence(error: BaseException) -> bool:
    return isinstance(error.__cause__, ConnectionFailure)


def to_time(epoch_ms: int) -> datetime:
    """A BSON date: the milliseconds are kept exactly."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def to_ms(time: datetime) -> int:
    """Milliseconds since the Unix epoch."""
    return (time - _EPOCH) // timedelta(milliseconds=1)
