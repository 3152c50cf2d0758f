"""The connection to MongoDB, and how times are stored."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from mesh.mongo import Client, Mongo
from mesh.mongo_indexes import patient_client
from mesh.mongo_timing import MongoTiming

DATABASE: Final = "parley_notify"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_mongo(
    url: str, database: str = DATABASE, *, operation_seconds: float = 3.0
) -> AbstractAsyncContextManager[Mongo]:
    """The database while entered. Does not wait for the server: operations do, `operation_seconds` at most.

    A majority has what was written in its journal, and reads go to the primary, whatever the URL says: who
    decides about an attempt must not decide by a ledger of before.
    """
    client = Client(
        url,
        appname="parley-notify",
        event_listeners=[MongoTiming()],
        tz_aware=True,
        serverSelectionTimeoutMS=2_000,
        timeoutMS=round(operation_seconds * 1000),
        w="majority",
        journal=True,
        readPreference="primary",
    )
    return Mongo.of(client, database, partial(patient_client, url, "parley-notify"))


def to_time(epoch_ms: int) -> datetime:
    """A BSON date: the milliseconds are kept exactly."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def to_ms(time: datetime) -> int:
    """Milliseconds since the Unix epoch."""
    return (time - _EPOCH) // timedelta(milliseconds=1)
