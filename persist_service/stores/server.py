"""The connection to MongoDB: durable writes."""

from contextlib import AbstractAsyncContextManager
from functools import partial

from pydantic import SecretStr

from mesh.mongo import Client, Mongo
from mesh.mongo_indexes import patient_client
from mesh.mongo_timing import MongoTiming


def open_mongo(url: SecretStr, database: str) -> AbstractAsyncContextManager[Mongo]:
    """The database while entered; connects when it is first used.

    Writes return when a majority has them in its journal, which is what an acknowledged message needs.
    Reads go to the primary, whatever the URL says: earlier sends and roles are asked for right after they
    were written, and a secondary may not know of them yet.
    """
    client = Client(
        url.get_secret_value(),
        appname="parley-persist",
        event_listeners=[MongoTiming()],
        w="majority",
        journal=True,
        readPreference="primary",
        datetime_conversion="DATETIME_MS",
        serverSelectionTimeoutMS=1_000,  # less than a caller's deadline, also when gRPC tries again
        connectTimeoutMS=1_000,
        socketTimeoutMS=15_000,
        waitQueueTimeoutMS=5_000,
    )
    patient = partial(patient_client, url.get_secret_value(), "parley-persist")
    return Mongo.of(client, database, patient)
