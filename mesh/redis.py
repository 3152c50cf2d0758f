"""Redis clients whose failures are immediate and typed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from mesh.errors import unavailable

DEPENDENCY = "redis"
# Redis answers these while it starts, fails over or refuses writes: the same call may succeed in a moment.
_OUTAGES = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    OSError,
)


@asynccontextmanager
async def open_redis(
    url: SecretStr,
    *,
    max_connections: int = 16,
    timeout_seconds: float | None = 2.0,
    connect_timeout_seconds: float = 1.0,
) -> AsyncIterator[Redis]:
    """A client (answers are ``bytes``); connects when it is first used and again whenever it must.

    Nothing is retried: a send must be refused at once when Redis is down, and a script that may have run must
    not run again unnoticed. A caller waits at most ``timeout_seconds`` for a free connection and for each
    answer. ``timeout_seconds=None`` waits for ever, which is right for pub/sub alone.
    """
    pool = BlockingConnectionPool.from_url(
        url.get_secret_value(),
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=connect_timeout_seconds,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns an outage of Redis inside the block into ``Unavailable`` naming ``redis``; other errors pass."""
    try:
        yield
    except _OUTAGES as error:
        raise unavailable(DEPENDENCY) from error


async def ping(client: Redis) -> None:
    """A readiness check.

    Raises:
        RedisError: Redis did not answer.
    """
    if not await client.ping():
        raise RedisError("unexpected answer to PING")
