"""What the databases must look like, in the words of the services that own them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pymongo import IndexModel

from admin.mongo import Database
from admin.settings import DatabaseSettings
from mesh.mongo_indexes import build_indexes
from notify_service.adapters.mongo.database import DATABASE as NOTIFY_DATABASE
from notify_service.adapters.mongo.indexes import INDEXES as NOTIFY_INDEXES
from notify_service.adapters.mongo.indexes import make_indexes as make_notify_indexes
from notify_service.adapters.mongo.migrations import MIGRATIONS as NOTIFY_MIGRATIONS
from persist_service.stores.indexes import INDEXES, make_indexes
from persist_service.stores.migrations import MIGRATIONS as PERSIST_MIGRATIONS

PERSIST: Final = "persist"
NOTIFY: Final = "notify"
"""The parts, by the names of the services that own them."""

Migration = Callable[[Database], Awaitable[int]]
"""Changes documents of an older form, and gives how many. Its name says what it does."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One database: whose it is, its name, its indexes, and what brings older documents up to date."""

    part: str
    database: str
    make_first: Callable[[Database], Awaitable[None]]
    """Makes the indexes that an empty database may have: none by which the server removes what is old, for it
    would remove documents before they are counted."""
    make_indexes: Callable[[Database], Awaitable[None]]
    migrations: Sequence[Migration]
    """In order; the database's version says how many of them are applied."""


def schemas(settings: DatabaseSettings) -> tuple[Schema, Schema]:
    """That of persist_service and that of notify_service."""
    keep = partial(make_notify_indexes, keep_days=settings.notify_ledger_days)
    return (
        Schema(
            PERSIST,
            settings.persist_database,
            partial(_make_lasting, indexes=INDEXES),
            partial(make_indexes, indexes=INDEXES),
            PERSIST_MIGRATIONS,
        ),
        Schema(
            NOTIFY, NOTIFY_DATABASE, partial(_make_lasting, indexes=NOTIFY_INDEXES), keep, NOTIFY_MIGRATIONS
        ),
    )


async def _make_lasting(database: Database, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
    for name, models in indexes.items():
        lasting = [model for model in models if "expireAfterSeconds" not in model.document]
        await build_indexes(database[name], lasting)
