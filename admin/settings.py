"""What the commands need to know, from the variables that the services read. Each requires only its own."""

from typing import Annotated

from pydantic import Field

from mesh.settings import AmqpUrl, EnvironmentSettings, GrpcTarget, MeshSettings, MongoUrl, RedisUrl
from persist_service.settings import DatabaseName


class DatabaseSettings(EnvironmentSettings):
    """Where the two databases are, and how long the ledger is kept in one of them."""

    mongo_url: MongoUrl
    persist_database: DatabaseName = "parley"
    notify_ledger_days: Annotated[float, Field(ge=1, le=3650)] = 30.0


class BrokerSettings(EnvironmentSettings):
    """Where the queues are."""

    amqp_url: AmqpUrl


class CallerSettings(MeshSettings):
    """Where the services are that the command asks, and how it proves itself to them."""

    chat_target: GrpcTarget = "dns:///127.0.0.1:50051"
    notify_target: GrpcTarget = "dns:///127.0.0.1:50053"


class StatsSettings(DatabaseSettings, BrokerSettings):
    """Where everything is that holds anything."""

    redis_url: RedisUrl
