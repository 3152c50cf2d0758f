"""A Redis client as chat_service has it, on an empty database."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from mesh.redis import open_redis


@pytest.fixture
async def redis(redis_db: str) -> AsyncIterator[Redis]:
    async with open_redis(SecretStr(redis_db)) as client:
        yield client
