"""`restore-drill`: restores a backup beside what is there, checks it, and removes it again."""

import uuid
from argparse import Namespace
from typing import Final

from admin.archive import Archive
from admin.command import Command
from admin.mongo import open_mongo
from admin.restore import add_arguments, report, restore, verified
from admin.schemas import schemas
from admin.settings import DatabaseSettings
from mesh.settings import load


async def _run(options: Namespace) -> int:
    settings = load(DatabaseSettings)
    archive = Archive(options.folder)
    manifest = verified(archive)
    tail = uuid.uuid4().hex[:8]
    names = {schema.part: f"{schema.part}_drill_{tail}" for schema in schemas(settings)}
    async with open_mongo(settings.mongo_url) as client:
        try:
            checks = await restore(client, archive, manifest, names, schemas(settings))
        finally:
            for name in names.values():
                await client.drop_database(name)
    return report(checks, as_json=options.json)


COMMAND: Final = Command("restore-drill", "restore a backup aside, check it, drop it", add_arguments, _run)
