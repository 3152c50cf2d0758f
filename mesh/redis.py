"""Redis clients whose failures are immediate and typed, of one server or of a cluster, as the URL says."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from mesh.breaker import Breaker
from mesh.errors import unavailable
from mesh.redis_cluster.client import ClusterRedis, open_cluster
from mesh.redis_packing import pack_in_c
from mesh.redis_timing import timer
from mesh.urls import Address, parse_hosts

DEPENDENCY = "redis"
T = TypeVar("T")
# Redis answers these while it starts, fails over or refuses writes: the same call may succeed in a moment.
_OUTAGES = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    OSError,
    # Of a cluster: it is down, or a slot was on its way for longer than a call waits.
    ClusterError,
    AskError,
    TryAgainError,
)
_CLUSTER_SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_DEFAULT_PORT: Final = 6379
# Answers without a class of their own, by the word that they begin with.
# redis-py puts the command before the answer to one of a pipeline: "Command # 1 (HDEL a b) of pipeline caused
# error: ('MISCONF Errors writing ...',)".
_REFUSAL = re.compile(
    r"(Command # \d+ .* of pipeline caused error: \(['\"])?(NOREPLICAS|MISCONF|OOM)\b", re.DOTALL
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
    not run again unnoticed. A caller waits at most ``timeout_seconds`` for a command, or for all of a
    pipeline, and after some such waits in a row not at all, until Redis answers again (`mesh.breaker`).
    ``timeout_seconds=None`` waits for ever and has no breaker, which is right for pub/sub alone.

    ``redis+cluster://host:port,host:port`` (and ``rediss+cluster://``) names some nodes of a cluster. All
    this holds for each node on its own; `mesh.redis_cluster.client.ClusterRedis` says what is different.
    """
    if url.get_secret_value().startswith(tuple(_CLUSTER_SCHEMES)):
        seeds = parse_hosts(url.get_secret_value()).addresses(_DEFAULT_PORT)
        open_node = partial(
            _open_node,
            url,
            max_connections=max_connections,
            timeout_seconds=timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
        )
        async with open_cluster(seeds, open_node) as cluster:
            yield cluster
        return
    pool = BlockingConnectionPool.from_url(
        url.get_secret_value(),
        max_connections=max_connections,
        timeout=None,
        # One timeout around a whole pipeline: redis-py's own would be a timer for each of its answers.
        socket_timeout=None,
        socket_connect_timeout=connect_timeout_seconds,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    pack_in_c(pool)
    if timeout_seconds is None:
        async with Redis.from_pool(pool) as client:
            yield client
        return
    guarded = cast("_GuardedRedis", _GuardedRedis.from_pool(pool))
    guarded.timeout_seconds = timeout_seconds
    async with guarded, Breaker(DEPENDENCY, guarded.ask, is_silence=_is_outage) as guarded.breaker:
        yield guarded


def _open_node(url: SecretStr, address: Address, **limits: Any) -> AbstractAsyncContextManager[Redis]:
    return open_redis(node_url(url, address), **limits)


def node_url(cluster_url: SecretStr, address: Address) -> SecretStr:
    """The URL of one node, with everything else that the URL of its cluster says."""
    parts = parse_hosts(cluster_url.get_secret_value())
    return SecretStr(parts.with_host(address, scheme=_CLUSTER_SCHEMES[parts.scheme]))


def is_cluster(client: Redis) -> bool:
    """Whether the client is one of a cluster, where pub/sub is sharded."""
    return isinstance(client, ClusterRedis)


def is_moving(answer: object) -> bool:
    """Whether an answer of a cluster says that nothing was done: the slot was on its way for too long."""
    return isinstance(answer, AskError | TryAgainError)


class _GuardedPipeline(Pipeline):
    """A pipeline whose execution is one guarded call."""

    breaker: Breaker
    timeout_seconds: float

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in redis-py
        """As in redis-py; raises ``Unavailable`` at once while the breaker is open."""
        with self.breaker.guard(), timer("pipeline").time():
            return await _answer(super().execute(raise_on_error), self.connection_pool, self.timeout_seconds)


class _GuardedRedis(Redis):
    """A client whose commands and pipelines are guarded. Pub/sub has connections of its own and is not."""

    breaker: Breaker
    timeout_seconds: float

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As in redis-py; raises ``Unavailable`` at once while the breaker is open."""
        with self.breaker.guard(), timer(args[0]).time():
            call = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            return await _answer(call, self.connection_pool, self.timeout_seconds)

    async def ask(self) -> None:
        """The probe: a PING that is not guarded."""
        await super().execute_command("PING")  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - as in redis-py
        """As in redis-py."""
        pipeline = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.breaker, pipeline.timeout_seconds = self.breaker, self.timeout_seconds
        return pipeline


async def _answer(call: Awaitable[T], pool: ConnectionPool, seconds: float) -> T:
    """Awaits the call; if it lost its connection, those that rest are closed.

    They went with it, and each would fail one more call, perhaps long after Redis is back.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except RedisConnectionError:
        await pool.disconnect(inuse_connections=False)
        raise


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, _OUTAGES)


def is_refusal(error: BaseException) -> bool:
    """Whether Redis answered that it takes nothing now: it is full, cannot save, or lacks its replicas."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and _REFUSAL.match(str(error)) is not None
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns an outage of Redis inside the block into ``Unavailable`` naming ``redis``; other errors pass."""
    try:
        yield
    except (*_OUTAGES, ResponseError) as error:
        if _is_outage(error) or is_refusal(error):
            raise unavailable(DEPENDENCY) from error
        raise


async def ping(client: Redis) -> None:
    """A readiness check.

    Raises:
        RedisError: Redis did not answer.
    """
    if not await client.ping():
        raise RedisError("unexpected answer to PING")
