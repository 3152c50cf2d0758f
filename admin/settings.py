"""What the commands need to know, from the variables that the services read. Each requires only its own."""

from typing import Annotated

from pydantic import Field

from mesh.settings import EnvironmentSettings, MongoUrl
from persist_service.settings import DatabaseName


class DatabaseSettings(EnvironmentSettings):
    """Where the two databases are, and how long the ledger is kept in one of them."""

    mongo_url: MongoUrl
    persist_database: DatabaseName = "parley"
    notify_ledger_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
