"""The connection to MongoDB: durable writes, typed failures, indexes before anything is stored."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pydantic import SecretStr
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    PyMongoError,
)

from mesh.backoff import Backoff
from mesh.breaker import Breaker
from mesh.errors import unavailable
from mesh.logs import get_logger
from mesh.mongo_timing import MongoTiming
from persist_service.adapters.mongo.indexes import Indexes, make_indexes

DEPENDENCY: Final = "mongodb"

Document = dict[str, Any]
Collection = AsyncIOMotorCollection[Document]

# One document or one key is at fault, not the server.
_OWN_FAULTS: Final = (DuplicateKeyError, BulkWriteError, DocumentTooLarge)
_log = get_logger()


class Mongo:
    """One database. Until ``prepare`` has made the indexes every use is refused: uniqueness rests on them."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database
        # The driver waits for a server to be found, call by call; callers should not.
        self._breaker = Breaker(DEPENDENCY, self._ping, is_silence=_is_silence, threshold=2)
        self._prepared = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: SecretStr, database: str) -> AsyncIterator[Self]:
        """A client while entered; connects when it is first used.

        Writes return when a majority has them in its journal, which is what an acknowledged message needs.
        Reads go to the primary, whatever the URL says: earlier sends and roles are asked for right after they
        were written, and a secondary may not know of them yet.
        """
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url.get_secret_value(),
            appname="parley-persist",
            event_listeners=[MongoTiming()],
            w="majority",
            journal=True,
            readPreference="primary",
            datetime_conversion="DATETIME_MS",
            serverSelectionTimeoutMS=1_000,  # less than a caller's deadline, also when gRPC tries again
            connectTimeoutMS=1_000,
            socketTimeoutMS=15_000,
            waitQueueTimeoutMS=5_000,
        )
        try:
            mongo = cls(client[database])
            async with mongo._breaker:
                yield mongo
        finally:
            client.close()

    def collection(self, name: str) -> Collection:
        """A collection; use it inside ``guard``."""
        return self._database[name]

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turns what MongoDB or the way to it fails with inside the block into ``Unavailable``.

        That includes refusals such as a full disk or a lost permission: they end when an operator acts, and
        until then no message may be given up for them. Duplicate keys and failed bulks pass through. A server
        that is known to be away is not waited for.
        """
        if not self._prepared.is_set():
            raise unavailable(DEPENDENCY, "the indexes of mongodb are not made yet")
        with self._breaker.guard():
            try:
                yield
            except _OWN_FAULTS:
                raise
            except PyMongoError as error:
                raise unavailable(DEPENDENCY, f"mongodb: {type(error).__name__}") from error

    async def prepare(self, indexes: Indexes) -> None:
        """Makes the indexes, trying again until all are there. Making an index again changes nothing."""
        backoff = Backoff(base=0.2, cap=5.0)
        while not self._prepared.is_set():
            try:
                await make_indexes(self._database, indexes)
            except PyMongoError as error:
                delay = backoff.next_delay()
                _log.warning("mongodb.indexes_failed", error=str(error), retry_in_seconds=round(delay, 2))
                await asyncio.sleep(delay)
            else:
                _log.info("mongodb.indexes_made", collections=len(indexes))
                self._prepared.set()

    async def wait_prepared(self) -> None:
        """Returns once the indexes are made."""
        await self._prepared.wait()

    async def check(self) -> None:
        """A readiness check: the server answers and the indexes are made; raises if not."""
        await self._ping()
        self._breaker.answered()  # whoever is told that the service is ready must not be refused
        if not self._prepared.is_set():
            raise unavailable(DEPENDENCY, "the indexes are not made yet")

    async def _ping(self) -> None:
        await self._database.command("ping")


def _is_silence(error: BaseException) -> bool:
    return isinstance(error.__cause__, ConnectionFailure)
