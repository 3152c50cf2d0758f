"""`restore`: a backup into empty databases.

MongoDB builds an index quicker from all data at once. The embedded store writes each entry of a build durably
by itself, and those of an insert together: there the indexes come first.
"""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bson.raw_bson import RawBSONDocument

from admin.archive import Archive, Manifest
from admin.command import DONE, NOT_DONE, Command, CommandError
from admin.migrations import STAMP, bring_up_to_date
from admin.mongo import Client, Database, is_embedded, open_mongo
from admin.output import json_option, table, tell
from admin.progress import stage
from admin.schemas import PERSIST, Schema, schemas
from admin.settings import DatabaseSettings
from admin.soundness import Check, check_counts, check_logs, check_references
from mesh.settings import load

COLUMNS: Final = ("check", "checked", "state", "detail")
_AT_ONCE: Final = 1000


def add_arguments(parser: ArgumentParser) -> None:
    """Which backup, and how to tell what came of it."""
    parser.add_argument("folder", type=Path, help="what `backup` made")
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(DatabaseSettings)
    archive = Archive(options.folder)
    manifest = await verified(archive)
    async with open_mongo(settings.mongo_url) as client:
        names = {schema.part: schema.database for schema in schemas(settings)}
        for name in names.values():
            await _require_empty(client[name])
        checks = await restore(client, archive, manifest, names, schemas(settings))
    return report(checks, as_json=options.json)


async def verified(archive: Archive) -> Manifest:
    """The manifest of a backup whose files are what it says.

    Raises:
        CommandError: they are not; tells which.
    """
    manifest = archive.manifest()
    async with stage("checking the files"):
        problems = await asyncio.to_thread(archive.problems)
    if problems:
        raise CommandError("\n".join(["the backup is damaged:", *(f"  {problem}" for problem in problems)]))
    return manifest


async def restore(
    client: Client,
    archive: Archive,
    manifest: Manifest,
    names: Mapping[str, str],
    wanted: tuple[Schema, ...],
) -> list[Check]:
    """Fills databases of these names, brings them up to date, and tells whether they hold together."""
    checks: list[Check] = []
    embedded = await is_embedded(client)
    for schema in wanted:
        part = manifest.parts[schema.part]
        if part.version > len(schema.migrations):
            raise CommandError(f"{part.database} is of a later release: version {part.version}")
        database = client[names[schema.part]]
        # Documents of an older form may break a unique index that their migration makes room for.
        if embedded and part.version == len(schema.migrations):
            async with stage(f"{database.name}: indexes"):
                await schema.make_first(database)
        for collection, file in part.collections.items():
            await _fill(database, collection, archive.read(schema.part, collection), file.documents)
        checks.append(await check_counts(database, part))
        await database[STAMP].replace_one({"_id": STAMP}, {"version": part.version}, upsert=True)
        # A unique index that the data break cannot be made, and the command fails with the duplicate.
        async with stage(f"{database.name}: migrations and indexes"):
            await bring_up_to_date(database, schema)
        if schema.part == PERSIST:
            async with stage(f"{database.name}: references and logs"):
                checks += [await check_references(database), await check_logs(database)]
    return checks


def report(checks: list[Check], *, as_json: bool) -> int:
    """Prints the checks; gives the exit code."""
    rows = [check.row() for check in checks]
    tell(rows, lambda: table(COLUMNS, rows), as_json=as_json)
    return NOT_DONE if any(check.problems for check in checks) else DONE


async def _require_empty(database: Database) -> None:
    for name in await database.list_collection_names():
        if name != STAMP and await database[name].find_one({}, {"_id": 1}) is not None:
            raise CommandError(f"{database.name} is not empty: {name} has documents; drop the database first")


async def _fill(database: Database, name: str, documents: Iterator[bytes], count: int) -> None:
    collection: Any = database[name]
    async with stage(f"{database.name}: {name}", count) as progress:
        while batch := [RawBSONDocument(document) for document in islice(documents, _AT_ONCE)]:
            await collection.insert_many(batch, ordered=False)
            progress.add(len(batch))


COMMAND: Final = Command("restore", "a backup into empty databases", add_arguments, _run)
