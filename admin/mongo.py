"""The client of MongoDB for commands: patient with long work, impatient with a server that is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pydantic import SecretStr
from pymongo.errors import BulkWriteError, PyMongoError

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]

WAIT_SECONDS: float = 5.0


_UNAUTHORIZED: Final = 13
_OF_THE_DRIVER: Final = (" (configured timeouts: ", ", Timeout: ", ", full error: ")


def in_words(error: PyMongoError) -> str:
    """The error without what the driver adds: its settings, all it knows of the servers, and documents."""
    text = str(error)
    if isinstance(error, BulkWriteError):
        refused = error.details["writeErrors"] or error.details["writeConcernErrors"]
        text = f"{len(refused)} writes failed, the first: {refused[0]['errmsg']}"
    for beginning in _OF_THE_DRIVER:
        text = text.partition(beginning)[0]
    if getattr(error, "code", None) == _UNAUTHORIZED:
        return f"the user of PARLEY_MONGO_URL lacks a right (docs/operations.md, MongoDB): {text}"
    return text


async def is_embedded(client: Client) -> bool:
    """Whether the server is the store of `make run`, whose costs differ from those of MongoDB."""
    return "secantusVersion" in await client.admin.command("buildInfo")


@asynccontextmanager
async def open_mongo(url: SecretStr, *, wait_seconds: float | None = None) -> AsyncIterator[Client]:
    """A client while entered; its uses wait so long for a server, 5 s. Writes reach a majority's journal.

    Operations have no time limit: making an index takes as long as it takes.
    """
    client: Client = AsyncIOMotorClient(
        url.get_secret_value(),
        appname="parley-admin",
        w="majority",
        journal=True,
        tz_aware=True,
        datetime_conversion="DATETIME_AUTO",
        serverSelectionTimeoutMS=round((WAIT_SECONDS if wait_seconds is None else wait_seconds) * 1000),
    )
    try:
        yield client
    finally:
        client.close()
