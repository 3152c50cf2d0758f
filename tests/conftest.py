"""What tests of all folders share.

Real backing servers are started when the first test asks for one, and ended with the session.

`redis_server`, `rabbitmq_server` and `mongo_server` are shared by the whole session: a test that stops or
kills its server makes one of its own (`with RedisServer() as server:`). A server that is not installed fails
the test: `make setup` installs it.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis import Redis

from devstack.servers import MongoServer, RabbitMQCluster, RabbitMQServer, RedisCluster, RedisServer
from mesh import tracing
from tests.support.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes says nothing on a machine that other things run on.
settings.register_profile(
    "parley", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("parley")

# structlog's own choice draws each frame with its local variables: for a chain of exceptions the event loop
# of a test with services in it stands still for seconds on a busy machine.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

_TESTS = Path(__file__).parent
#: The order in which folders run: what is quick, and tells more exactly what is wrong, comes first.
_ORDER = (
    "unit",
    "properties",
    "architecture",
    "contract",
    "deployment",
    "integration",
    "e2e",
    "faults",
    "extras",
)

_database_numbers = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by folder; inside a folder the order stays.

    Side by side (`make test`) they run in the opposite order: what takes long must not be what all wait for
    in the end.
    """

    def rank(item: pytest.Item) -> int:
        return _ORDER.index(item.path.relative_to(_TESTS).parts[0])

    items.sort(key=rank, reverse=hasattr(config, "workerinput"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis for the session; for a clean database in one test use `redis_db`."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQServer]:
    """A RabbitMQ for the session; queues are shared, so name a test's own queues uniquely."""
    with RabbitMQServer() as server:
        yield server


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoServer]:
    """A MongoDB-protocol server for the session; use `mongo_database` for a database of the test's own."""
    with MongoServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    """Address of the session's Redis, `redis://127.0.0.1:<port>/0`."""
    return redis_server.url


@pytest.fixture(scope="session")
def amqp_url(rabbitmq_server: RabbitMQServer) -> str:
    """Address of the session's RabbitMQ, `amqp://guest:guest@127.0.0.1:<port>/`."""
    return rabbitmq_server.url


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    """Address of the session's MongoDB, without a database."""
    return mongo_server.url


@pytest.fixture(scope="session")
def redis_nodes() -> Iterator[RedisCluster]:
    """A Redis Cluster for the session: three nodes, no replicas. Slots may be moved, nodes may not end."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(redis_nodes: RedisCluster) -> str:
    """Address of the session's cluster, `redis+cluster://...`, emptied just now."""
    for node in redis_nodes.primaries:
        node.ask("FLUSHALL")
    return redis_nodes.url


@pytest.fixture(scope="session")
def rabbitmq_nodes() -> Iterator[RabbitMQCluster]:
    """A RabbitMQ cluster for the session; a test uses `rabbitmq_cluster`."""
    with RabbitMQCluster() as cluster:
        yield cluster


@pytest.fixture
def rabbitmq_cluster(rabbitmq_nodes: RabbitMQCluster) -> RabbitMQCluster:
    """The session's cluster, whole just now. Nodes may end; queues are shared, as those of `amqp_url`."""
    rabbitmq_nodes.mend()
    return rabbitmq_nodes


@pytest.fixture
def redis_db(redis_url: str) -> str:
    """Address of the session's Redis, emptied just now."""
    with Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url


@pytest.fixture
def mongo_database() -> str:
    """The name of a database that no other test uses."""
    return f"test_{os.getpid()}_{next(_database_numbers)}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of local servers; no two are alike."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """The spans that end while the test runs, every trace recorded."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.turn_on(provider.get_tracer("test"), 1.0)
    yield exporter
    tracing.turn_off()
    provider.shutdown()
