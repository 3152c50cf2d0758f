"""The settings of persist_service."""

from typing import Annotated

from pydantic import Field

from mesh.settings import AmqpUrl, MongoUrl, Port, PositiveInt, RedisUrl, ServerSettings, other_than

DatabaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,38}$")]


class PersistSettings(ServerSettings):
    """``persist_port`` is read from ``PARLEY_PERSIST_PORT``, and so on."""

    mongo_url: MongoUrl
    redis_url: RedisUrl
    amqp_url: AmqpUrl
    persist_port: Port = 50052
    persist_admin_port: Annotated[Port, other_than("persist_port")] = 9152
    persist_database: DatabaseName = "parley"
    """Name of the MongoDB database."""
    persist_batch_deliveries: Annotated[int, Field(ge=1, le=256)] = 64
    """How many deliveries (each up to 64 events) go into one bulk write at most."""
    persist_group_members: PositiveInt = 100_000
    """How many members a group may have."""
    persist_stranger_groups: Annotated[int, Field(ge=0)] = 100
    """To how many groups, in which a user has read nothing yet, strangers may add it; 0: to any number."""
