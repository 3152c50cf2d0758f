"""What the databases must look like, in the words of the services that own them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from admin.mongo import Database
from admin.settings import DatabaseSettings
from notify_service.adapters.mongo.database import DATABASE as NOTIFY_DATABASE
from notify_service.adapters.mongo.indexes import make_indexes as make_notify_indexes
from notify_service.adapters.mongo.migrations import MIGRATIONS as NOTIFY_MIGRATIONS
from persist_service.adapters.mongo.indexes import INDEXES, make_indexes
from persist_service.adapters.mongo.migrations import MIGRATIONS as PERSIST_MIGRATIONS

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
    make_indexes: Callable[[Database], Awaitable[None]]
    migrations: Sequence[Migration]
    """In order; the database's version says how many of them are applied."""


def schemas(settings: DatabaseSettings) -> tuple[Schema, Schema]:
    """That of persist_service and that of notify_service."""
    keep = partial(make_notify_indexes, keep_days=settings.notify_ledger_days)
    return (
        Schema(
            PERSIST, settings.persist_database, partial(make_indexes, indexes=INDEXES), PERSIST_MIGRATIONS
        ),
        Schema(NOTIFY, NOTIFY_DATABASE, keep, NOTIFY_MIGRATIONS),
    )
