"""`backup`: both databases into a folder, while everything goes on."""

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bson import CodecOptions
from bson.raw_bson import RawBSONDocument

from admin.archive import FORMAT, Archive, File, Manifest, Part, rows
from admin.command import DONE, Command
from admin.cut import FIRST, Cut
from admin.migrations import STAMP, version_of
from admin.mongo import Client, Database, open_mongo
from admin.output import json_option, note, table, tell
from admin.progress import Progress, stage
from admin.schemas import Schema, schemas
from admin.settings import DatabaseSettings
from mesh.clock import now_ms, to_rfc3339
from mesh.settings import load

_COLUMNS: Final = ("database", "collection", "documents", "bytes")
_RAW: Final = CodecOptions(document_class=RawBSONDocument)
_AT_ONCE: Final = 1000


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="is made; %%Y-%%m-%%d and the like become the time in UTC")
    json_option(parser)


async def _run(options: Namespace) -> int:
    settings = load(DatabaseSettings)
    folder = Path(datetime.now(UTC).strftime(str(options.folder)))
    async with open_mongo(settings.mongo_url) as client:
        await client.admin.command("ping")  # before there is a folder
        archive = Archive.create(folder)
        async with _moment(client) as session:
            parts = {
                schema.part: await _save(client[schema.database], schema, archive, session)
                for schema in schemas(settings)
            }
    manifest = Manifest(FORMAT, to_rfc3339(now_ms()), session is not None, parts)
    archive.finish(manifest)
    shown = rows(manifest)
    note(f"saved to {folder}")
    tell(shown, lambda: table(_COLUMNS, shown), as_json=options.json)
    return DONE


@asynccontextmanager
async def _moment(client: Client) -> AsyncIterator[Any]:
    """A session whose reads are all of one moment; None where there is none: without a replica set."""
    hello = await client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        note("no replica set: each chat is saved up to its head, and not all of them as of one moment")
        yield None
        return
    async with await client.start_session(snapshot=True) as session:
        yield session


async def _save(database: Database, schema: Schema, archive: Archive, session: Any) -> Part:
    names = sorted(await database.list_collection_names(), key=lambda name: (name != FIRST, name))
    version, cut = await version_of(database), Cut()
    files: dict[str, File] = {}
    for name in names:
        if name != STAMP:
            count = await database[name].estimated_document_count()
            async with stage(f"{database.name}: {name}", count) as progress:
                documents = _documents(database, name, cut, session, progress)
                files[name] = await archive.write(schema.part, name, documents)
    return Part(schema.database, version, files)


async def _documents(
    database: Database, name: str, cut: Cut, session: Any, progress: Progress
) -> AsyncIterator[bytes]:
    collection: Any = database.get_collection(name, codec_options=_RAW)
    async for document in collection.find({}, session=session, batch_size=_AT_ONCE):
        progress.add(1)
        kept = cut.keep(name, document)
        if kept is not None:
            yield kept


COMMAND: Final = Command("backup", "both databases into a folder", _add_arguments, _run)
