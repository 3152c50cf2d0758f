"""MongoDB behind a circuit breaker: typed failures, and no use of it before its indexes are made."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
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
from mesh.outage import Outage

DEPENDENCY: Final = "mongodb"

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
MakeIndexes = Callable[[Database], Awaitable[None]]

# One document or one key is at fault, not the server.
_OWN_FAULTS: Final = (DuplicateKeyError, BulkWriteError, DocumentTooLarge)
_UNAUTHORIZED: Final = 13  # https://www.mongodb.com/docs/manual/reference/error-codes/
_log = get_logger()


class Mongo:
    """One database. Until ``prepare`` has made the indexes every use is refused: uniqueness rests on them."""

    def __init__(self, database: Database, patient: Callable[[], Client]) -> None:
        self._database = database
        self._patient = patient
        # The driver waits for a server to be found or to answer, call by call; callers should not.
        self._breaker = Breaker(DEPENDENCY, self._ping, is_silence=_is_silence, threshold=2)
        self._prepared = asyncio.Event()
        self._refusals = Outage("mongodb.refused", "mongodb.accepts")

    @classmethod
    @asynccontextmanager
    async def of(cls, client: Client, database: str, patient: Callable[[], Client]) -> AsyncIterator[Self]:
        """A database of this client while entered; closes the client in the end.

        `patient` makes another client, which builds the indexes (`mesh.mongo_indexes.patient_client`).
        """
        try:
            mongo = cls(client[database], patient)
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
        until then no message or job may be given up for them. Duplicate keys and failed bulks pass through. A
        server that is known to be away or to hang is not waited for.
        """
        if not self._prepared.is_set():
            raise unavailable(DEPENDENCY, "the indexes of mongodb are not made yet")
        with self._breaker.guard():
            try:
                yield
            except _OWN_FAULTS:
                raise
            except PyMongoError as error:
                code = getattr(error, "code", None)
                if code is not None:
                    self._refusals.failed(code=code, error=refusal_in_words(error))
                raise unavailable(DEPENDENCY, f"mongodb: {type(error).__name__}") from error
            self._refusals.worked()

    async def prepare(self, needed: MakeIndexes, later: MakeIndexes | None = None) -> None:
        """Makes the indexes, trying again until all are there, without a deadline.

        Both change nothing where they are repeated, and raise ``PyMongoError``. The database is in use once
        ``needed`` has returned; ``later`` makes what it can do without for a while.
        """
        client = self._patient()
        try:
            database = client[self._database.name]
            if not self._prepared.is_set():
                await _until_made(needed, database)
                _log.info("mongodb.indexes_made")
                self._prepared.set()
            if later is not None:
                await _until_made(later, database)
        finally:
            client.close()

    async def wait_prepared(self) -> None:
        """Returns once the indexes are made."""
        await self._prepared.wait()

    async def check(self) -> None:
        """A readiness check: the server answers and the indexes are made; raises if not."""
        await self._ping()
        self._breaker.answered()  # whoever sees that the service is ready must not be refused
        if not self._prepared.is_set():
            raise unavailable(DEPENDENCY, "the indexes are not made yet")

    async def _ping(self) -> None:
        await self._database.command("ping")


async def _until_made(make_indexes: MakeIndexes, database: Database) -> None:
    backoff = Backoff(base=0.2, cap=5.0)
    while True:
        try:
            await make_indexes(database)
        except PyMongoError as error:
            delay, words = backoff.next_delay(), refusal_in_words(error)
            _log.warning("mongodb.indexes_failed", error=words, retry_in_seconds=round(delay, 2))
            await asyncio.sleep(delay)
        else:
            return


def _is_silence(error: BaseException) -> bool:
    return isinstance(error.__cause__, ConnectionFailure)


def refusal_in_words(error: PyMongoError) -> str:
    """The error as an operator needs it: a missing right is named as what it is."""
    text = str(error)[:500]
    if getattr(error, "code", None) == _UNAUTHORIZED:
        return f"the user of PARLEY_MONGO_URL lacks a right (docs/operations.md, MongoDB): {text}"
    return text
