"""Brings one database up to date: the migrations that it has not seen, in order, then the indexes.

The collection `schema` holds one document: `version` (how many migrations are applied), `applied` (which,
when, to how many documents), and a lease, `holder` and `leaseUntil`, so that of two runs one waits. A run
that is cut off leaves the version where it was: the next one begins with the migration that was under way.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pymongo.errors import DuplicateKeyError

from admin.command import CommandError
from admin.mongo import Collection, Database
from admin.output import note
from admin.schemas import Schema
from mesh.cancellation import end

STAMP: Final = "schema"
"""The name of the collection, and the id of its only document."""

# The lease outlives a few renewals that are late. Clocks of two hosts may differ by less than that.
_LEASE: Final = timedelta(seconds=60)
_RENEW_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied just now, and how many documents it changed."""

    name: str
    documents: int


async def version_of(database: Database) -> int:
    """How many migrations the database has seen; 0 for a new one."""
    stamp = await database[STAMP].find_one({"_id": STAMP})
    return 0 if stamp is None else int(stamp.get("version", 0))


def pending(schema: Schema, version: int) -> list[str]:
    """The names of the migrations that a database of this version lacks."""
    return [migration.__name__ for migration in schema.migrations[version:]]


async def bring_up_to_date(database: Database, schema: Schema, *, again: bool = False) -> list[Applied]:
    """Applies what is pending and makes the indexes; safe to run at any time, any number of times.

    `again` begins with the first migration, for documents that the release before wrote meanwhile. A database
    that a later release has changed is left alone: later releases keep what this one needs.

    Raises:
        CommandError: another run took the lease over, which it does when this one stood still for a minute.
        PyMongoError: MongoDB is away or refuses. What was applied stays applied.
    """
    async with _lease(database) as holder:
        before = await version_of(database)
        if before > len(schema.migrations):
            note(f"{database.name} is at version {before}, beyond this release's: it is left as it is")
            return []
        applied: list[Applied] = []
        for version, migration in enumerate(schema.migrations, start=1):
            if version > before or again:
                applied.append(Applied(migration.__name__, await migration(database)))
                await _record(database[STAMP], holder, version, applied[-1])
        await schema.make_indexes(database)
        return applied


async def _record(stamps: Collection, holder: str, version: int, applied: Applied) -> None:
    entry = {
        "version": version,
        "name": applied.name,
        "documents": applied.documents,
        "at": datetime.now(UTC),
    }
    done = await stamps.update_one(
        {"_id": STAMP, "holder": holder}, {"$max": {"version": version}, "$push": {"applied": entry}}
    )
    if done.matched_count == 0:
        raise CommandError("another migrate took over, because this one stood still; it will finish the work")


@asynccontextmanager
async def _lease(database: Database) -> AsyncIterator[str]:
    """Waits for the lease and keeps it while entered; gives the name it is held under."""
    stamps, holder = database[STAMP], uuid.uuid4().hex
    told = False
    while not await _take(stamps, holder):
        if not told:
            note(f"another migrate works on {database.name}: waiting for it")
            told = True
        await asyncio.sleep(_POLL_SECONDS)
    renewing = asyncio.create_task(_renew(stamps, holder), name="renew the lease")
    try:
        yield holder
    finally:
        await end(renewing)
        await stamps.update_one(
            {"_id": STAMP, "holder": holder}, {"$unset": {"holder": "", "leaseUntil": ""}}
        )


async def _take(stamps: Collection, holder: str) -> bool:
    now = datetime.now(UTC)
    free = {"_id": STAMP, "$or": [{"leaseUntil": None}, {"leaseUntil": {"$lt": now}}]}
    try:
        await stamps.update_one(free, {"$set": {"holder": holder, "leaseUntil": now + _LEASE}}, upsert=True)
    except DuplicateKeyError:  # the document is there and did not match: somebody holds it
        return False
    return True


async def _renew(stamps: Collection, holder: str) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        until = datetime.now(UTC) + _LEASE
        await stamps.update_one({"_id": STAMP, "holder": holder}, {"$set": {"leaseUntil": until}})
