"""Each backing server starts, stops, dies and comes back with its data, and leaves nothing behind."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import aio_pika
import pytest
from pymongo import MongoClient
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from devstack.errors import PortBusyError, ServerFailedError, ServerMissingError
from devstack.paths import MONGO_VENV
from devstack.ports import is_free
from devstack.servers import BackingServer, MongoServer, RabbitMQServer, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = (RedisServer, RabbitMQServer, MongoServer)
QUEUE = "devstack-test"


@pytest.fixture(params=SERVERS, ids=lambda kind: str(kind.name))
def server(request: pytest.FixtureRequest) -> Iterator[BackingServer]:
    kind: type[BackingServer] = request.param
    server = kind()
    yield server
    server.close()


def mongo_client(url: str) -> MongoClient[dict[str, object]]:
    return MongoClient(url)


async def write(server: BackingServer) -> None:
    """Leave something in the server that it has acknowledged."""
    if isinstance(server, RedisServer):
        with Redis.from_url(server.url) as redis:
            assert redis.set("key", "kept")
    elif isinstance(server, MongoServer):
        with mongo_client(server.url) as mongo:
            assert (mongo.options.retry_writes, mongo.options.pool_options.max_pool_size) == (False, 2)
            mongo["test"]["things"].insert_one({"_id": "kept"})
    else:
        async with await aio_pika.connect(server.url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            await channel.declare_queue(QUEUE, durable=True)
            message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=QUEUE)


async def read(server: BackingServer) -> object:
    """What `write` left there."""
    if isinstance(server, RedisServer):
        with Redis.from_url(server.url, decode_responses=True) as redis:
            return redis.get("key")
    if isinstance(server, MongoServer):
        with mongo_client(server.url) as mongo:
            found = mongo["test"]["things"].find_one({})
            return found["_id"] if found else None
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        message = await (await channel.get_queue(QUEUE)).get(timeout=5)
        assert message is not None
        await message.reject(requeue=True)
        return message.body.decode()


def live_pids(server: BackingServer) -> list[int]:
    return [pid for process in server.processes for pid in process.members()]


async def test_data_survive_a_restart_and_a_kill(server: BackingServer) -> None:
    url = server.start()
    await write(server)

    assert server.restart() == url
    assert await read(server) == "kept"

    first_life = server.pid
    server.kill()
    assert live_pids(server) == []
    assert server.start() == url
    assert server.pid != first_life
    assert await read(server) == "kept"


def test_stop_leaves_no_process_and_close_no_file(server: BackingServer) -> None:
    server.start()
    pids = live_pids(server)
    assert server.pid in pids

    server.stop()

    assert not server.running
    assert live_pids(server) == []
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert is_free(server.port)
    assert server.data_dir.exists()

    server.close()
    assert not server.data_dir.exists()


def test_a_given_data_directory_is_kept(tmp_path: Path) -> None:
    with RedisServer(data_dir=tmp_path / "data") as server:
        assert server.running
    assert (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: str(kind.name))
def test_a_busy_port_is_named_with_its_variable(kind: type[BackingServer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = kind(port=port, port_variable="PARLEY_DEVSTACK_SOME_PORT")
        with pytest.raises(PortBusyError, match=rf"port {port}.*{kind.name}.*PARLEY_DEVSTACK_SOME_PORT"):
            server.start()
        server.close()


def test_a_second_start_of_the_same_server_is_refused_and_harms_nothing() -> None:
    with RedisServer() as server:
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
        assert server.running


def test_a_failed_start_tells_the_last_log_lines(tmp_path: Path) -> None:
    with RedisServer(data_dir=tmp_path) as server:
        server.stop()
        manifest = next(tmp_path.rglob("*.manifest"))
        manifest.write_text("not a manifest\n", encoding="utf-8")
        with pytest.raises(ServerFailedError, match=r"(?s)redis ended while starting.*manifest"):
            server.start()
        assert live_pids(server) == []


@pytest.mark.parametrize("kind", [RedisServer, RabbitMQServer], ids=lambda kind: str(kind.name))
def test_a_missing_program_is_named(kind: type[BackingServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    server = kind()
    with pytest.raises(ServerMissingError, match="not installed; run: make setup"):
        server.start()
    server.close()


def test_a_paused_server_answers_nobody_until_it_is_resumed() -> None:
    with RedisServer() as server, Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client:
        client.ping()
        server.pause()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        server.resume()
        with Redis.from_url(server.url, socket_timeout=10) as patient:
            assert patient.ping()


def test_the_url_of_the_mongodb_stand_in_has_the_options_that_it_needs(mongo_url: str) -> None:
    """Without them it sorts a registry at each write once it holds 10,000, and its threads compete."""
    options = parse_qs(urlsplit(mongo_url).query)
    assert options == {"retryWrites": ["false"], "maxPoolSize": ["2"]}


def test_the_interpreter_of_the_mongodb_stand_in_is_handed_on_quickly() -> None:
    ask = "import sys; print(sys.getswitchinterval())"
    python = str(MONGO_VENV / "bin" / "python")
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert float(told) == pytest.approx(0.0001)
