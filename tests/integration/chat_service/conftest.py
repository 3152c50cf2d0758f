"""A Redis client as chat_service has it, on an empty database; and both services on real servers."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from mesh.redis import open_redis
from tests.integration.chat_service.scaffold import World, open_world
from tests.integration.persist_service.conftest import Servers, purge


@pytest.fixture
async def redis(redis_db: str) -> AsyncIterator[Redis]:
    async with open_redis(SecretStr(redis_db)) as client:
        yield client


@pytest.fixture
async def servers(
    amqp_url: str, mongo_url: str, redis_db: str, mongo_database: str
) -> AsyncIterator[Servers]:
    """The session's servers with empty queues, an empty Redis and an empty database."""
    await purge(amqp_url)
    yield Servers(amqp_url, mongo_url, redis_db, mongo_database)
    await purge(amqp_url)


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with open_world(servers) as opened:
        yield opened
