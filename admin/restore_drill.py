"""`restore-drill`: restores a backup beside what is there, checks it, and removes it again."""

import uuid
from argparse import Namespace
from collections.abc import Collection
from typing import Final

from pymongo.errors import PyMongoError

from admin.archive import Archive
from admin.command import Command, CommandError
from admin.mongo import Client, Database, in_words, is_embedded, open_mongo
from admin.output import note
from admin.progress import stage
from admin.restore import add_arguments, report, restore, verified
from admin.schemas import schemas
from admin.settings import DatabaseSettings
from mesh.settings import load


async def _run(options: Namespace) -> int:
    settings = load(DatabaseSettings)
    archive = Archive(options.folder)
    manifest = await verified(archive)
    tail = uuid.uuid4().hex[:8]
    names = {schema.part: f"{schema.part}_drill_{tail}" for schema in schemas(settings)}
    async with open_mongo(settings.mongo_url) as client:
        await _require_the_right_to_drop(client, names.values())
        try:
            checks = await restore(client, archive, manifest, names, schemas(settings))
        finally:
            await _drop(client, names.values())
    return report(checks, as_json=options.json)


async def _require_the_right_to_drop(client: Client, names: Collection[str]) -> None:
    # A server asks for the right before it looks for the database: nothing has to be made to find out.
    for name in names:
        try:
            await client.drop_database(name)
        except PyMongoError as error:
            words = f"mongodb: {in_words(error)}\nnothing was copied: the drill could not remove it again"
            raise CommandError(words) from error


async def _drop(client: Client, names: Collection[str]) -> None:
    """Drops each of them, also where another one could not be."""
    failed: PyMongoError | None = None
    for name in names:
        try:
            async with stage(f"{name}: removing it"):
                await _empty(client[name])
                await client.drop_database(name)
        except PyMongoError as error:
            note(f"{name} is left, with a copy of what people wrote: drop it by hand")
            failed = error
    if failed is not None:
        raise failed


async def _empty(database: Database) -> None:
    # The embedded store writes each deletion of a drop durably by itself, those of a `delete_many` together.
    if await is_embedded(database.client):
        for name in await database.list_collection_names():
            await database[name].delete_many({})


COMMAND: Final = Command("restore-drill", "restore a backup aside, check it, drop it", add_arguments, _run)
