"""`restore-drill`: restores a backup beside what is there, checks it, and removes it again."""

import uuid
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from admin.archive import Archive
from admin.command import Command
from admin.mongo import open_mongo
from admin.output import json_option
from admin.restore import report, restore, verified
from admin.schemas import schemas
from admin.settings import DatabaseSettings
from mesh.settings import load


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="what `backup` made")
    json_option(parser)


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


COMMAND: Final = Command("restore-drill", "restore a backup aside, check it, drop it", _add_arguments, _run)
