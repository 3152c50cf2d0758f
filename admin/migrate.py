"""`migrate`: makes the indexes of both databases and brings their documents up to date."""

from argparse import ArgumentParser, Namespace
from typing import Any, Final

from admin.command import DONE, NOT_DONE, Command, seconds
from admin.migrations import bring_up_to_date, pending, version_of
from admin.mongo import open_mongo
from admin.output import json_option, table, tell
from admin.progress import stage
from admin.schemas import schemas
from admin.settings import DatabaseSettings
from mesh.settings import load

_COLUMNS: Final = ("database", "from", "to", "migrations")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--plan", action="store_true", help="only show what is pending; 1 when something is")
    parser.add_argument("--again", action="store_true", help="apply also what was applied; see the manual")
    parser.add_argument(
        "--wait", type=seconds, default=60.0, metavar="SECONDS", help="for MongoDB; default 60"
    )
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(DatabaseSettings)
    rows: list[dict[str, Any]] = []
    async with open_mongo(settings.mongo_url, wait_seconds=options.wait) as client:
        for schema in schemas(settings):
            database = client[schema.database]
            before = await version_of(database)
            if options.plan:
                names = pending(schema, before)
            else:
                async with stage(f"{database.name}: migrations and indexes"):
                    applied = await bring_up_to_date(database, schema, again=options.again)
                names = [f"{each.name} ({each.documents} documents)" for each in applied]
            rows.append(
                {
                    "database": schema.database,
                    "from": before,
                    "to": max(before, len(schema.migrations)),
                    "migrations": names,
                }
            )
    tell(rows, lambda: table(_COLUMNS, rows), as_json=options.json)
    return NOT_DONE if options.plan and any(row["migrations"] for row in rows) else DONE


COMMAND: Final = Command("migrate", "make indexes, bring documents up to date", _add_arguments, _run)
