"""Building indexes, which takes as long as it takes: without a deadline, and with progress in the log."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo import IndexModel
from pymongo.errors import PyMongoError

from mesh.cancellation import end
from mesh.logs import get_logger

PROGRESS_SECONDS: Final = 10.0
"""A build that takes longer is logged, and again after each such time."""

_log = get_logger()


def patient_client(url: str, appname: str) -> AsyncIOMotorClient[dict[str, Any]]:
    """A client that waits for an operation as long as it takes, whatever the URL says; close it.

    A server that cannot be found is still logged within seconds.
    """
    return AsyncIOMotorClient(
        url,
        appname=appname,
        serverSelectionTimeoutMS=2_000,
        connectTimeoutMS=2_000,
        socketTimeoutMS=None,
        timeoutMS=None,
        w="majority",
        journal=True,
        readPreference="primary",
    )


async def build_indexes(
    collection: AsyncIOMotorCollection[dict[str, Any]],
    indexes: Sequence[IndexModel],
    *,
    progress_seconds: float = PROGRESS_SECONDS,
) -> None:
    """Makes the indexes of one collection that are missing. Idempotent.

    MongoDB goes on with a build whose caller went away, and whoever asks again waits for the same one.

    Raises:
        PyMongoError: MongoDB is away or refuses, or has another index under such a name.
    """
    begun = time.monotonic()
    building = asyncio.ensure_future(collection.create_indexes(list(indexes)))
    try:
        while not (await asyncio.wait([building], timeout=progress_seconds))[0]:
            _log.info(
                "mongodb.index_building",
                collection=collection.name,
                seconds=round(time.monotonic() - begun),
                **await _progress(collection, progress_seconds),
            )
        await building
    finally:
        await end(building)


async def _progress(collection: AsyncIOMotorCollection[dict[str, Any]], seconds: float) -> dict[str, int]:
    """How far the server is, where it says so: of the caller's own operations anybody may ask."""
    building = {"command.createIndexes": collection.name, "progress.total": {"$gt": 0}}
    admin = collection.database.client.get_database("admin")
    try:
        async with asyncio.timeout(seconds):
            async for found in admin.aggregate([{"$currentOp": {}}, {"$match": building}]):
                done, total = found["progress"]["done"], found["progress"]["total"]
                return {"documents": int(done), "of_documents": int(total)}
    except (PyMongoError, TimeoutError, KeyError):
        pass  # how long it has taken is logged
    return {}
