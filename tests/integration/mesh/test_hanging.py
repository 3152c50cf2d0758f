"""Dependencies that hang (SIGSTOP): connections stay open and nothing answers."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from chaos.proxy import Proxy
from devstack.ports import free_port
from devstack.process import ManagedProcess
from devstack.servers import BackingServer, RabbitMQServer, RedisServer
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Ack, Delivery, Outcome
from mesh.amqp.topology import Topology
from mesh.errors import NotFound, Unavailable
from mesh.redis import open_redis, redis_errors
from mesh.rpc.channel import open_channel
from tests.integration.mesh.at_once import refused_at_once
from tests.integration.mesh.echo import METHOD, EchoStub

ROOT = Path(__file__).parents[3]
SECRET = SecretStr("s" * 32)
LIMIT = 0.5  # seconds that a call may take here

Call = Callable[[], Awaitable[object]]


@contextmanager
def _paused(server: BackingServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


async def _fails(call: Call) -> None:
    while True:
        try:
            await call()
        except Unavailable:
            return


async def _opens(call: Call, dependency: str) -> None:
    """The first calls wait; then none does."""
    await _fails(call)  # a signal or an alarm takes a moment to reach the server
    waited = await asyncio.gather(*(call() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in waited), waited
    for _ in range(20):
        await refused_at_once(call, dependency)


async def _hangs_on(logs: Sequence[Any]) -> None:
    """Returns once several probes had no answer: by now the pauses between them are long."""
    async with asyncio.timeout(30):
        while sum(line["event"] == "breaker.probe_failed" for line in logs) < 3:
            await asyncio.sleep(0.01)


async def _comes_back(call: Call) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await call()
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                return


def _told(logs: Sequence[Any]) -> list[str]:
    return [line["event"] for line in logs if line["event"] in {"breaker.opened", "breaker.closed"}]


async def test_redis_that_hangs_is_refused_at_once_while_pub_sub_stays_connected() -> None:
    with RedisServer() as server:
        url = SecretStr(server.url)
        async with (
            open_redis(url, timeout_seconds=LIMIT) as client,
            open_redis(url, timeout_seconds=None) as subscriber,
            client.pubsub() as guarded,
            subscriber.pubsub() as patient,
        ):

            async def call() -> None:
                with redis_errors():
                    await client.set("key", "value")

            async def pipelined() -> None:
                with redis_errors():
                    pipeline = client.pipeline(transaction=False)
                    pipeline.set("a", "1")
                    pipeline.get("a")
                    await pipeline.execute()

            await call()
            for pubsub in (guarded, patient):
                await pubsub.subscribe("channel")
                assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
            with capture_logs() as logs:
                with _paused(server):
                    await _opens(call, "redis")
                    await refused_at_once(pipelined, "redis")
                    await _hangs_on(logs)
                await _comes_back(call)
                await pipelined()
            assert _told(logs) == ["breaker.opened", "breaker.closed"]
            await client.publish("channel", "hello")
            assert (await patient.get_message(timeout=5))["data"] == b"hello"


async def test_a_link_that_drops_everything_is_a_redis_that_hangs(redis_server: RedisServer) -> None:
    async with (
        Proxy(redis_server.port) as proxy,
        open_redis(SecretStr(f"redis://127.0.0.1:{proxy.port}/0"), timeout_seconds=LIMIT) as client,
    ):

        async def call() -> None:
            with redis_errors():
                await client.ping()

        await call()
        proxy.blackhole()
        await _opens(call, "redis")
        await proxy.restore()
        await _comes_back(call)


@pytest.mark.timeout(120)
async def test_rabbitmq_that_hangs_is_refused_at_once_and_consumers_go_on() -> None:
    topology = Topology((f"work-{uuid4().hex[:8]}",), ())
    queue = topology.queues[0]
    got: list[bytes] = []

    async def handler(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        got.extend(delivery.body for delivery in deliveries)
        return [Ack()] * len(deliveries)

    with RabbitMQServer() as server:
        async with Broker(
            SecretStr(server.url), name="test", topology=topology, publish_timeout_seconds=1.0
        ) as broker:
            await broker.session()
            consumer = Consumer(broker, queue, handler)
            consuming = asyncio.create_task(consumer.run())

            async def call() -> None:
                await broker.publish(queue, b"a message")

            await call()
            with capture_logs() as logs:
                with _paused(server):
                    await _opens(call, "rabbitmq")
                    with pytest.raises(Unavailable):
                        await broker.check()
                    await _hangs_on(logs)
                await _comes_back(call)
                await broker.check()
            assert _told(logs) == ["breaker.opened", "breaker.closed"]
            before = len(got)
            await call()
            async with asyncio.timeout(30):
                while len(got) <= before:
                    await asyncio.sleep(0.01)
                await consumer.stop()
                await consuming


@asynccontextmanager
async def _echo_process(tmp_path: Path) -> AsyncIterator[tuple[ManagedProcess, EchoStub, Any]]:
    port = free_port()
    process = ManagedProcess(
        "echo",
        [sys.executable, "-m", "tests.integration.mesh.echo_service", str(port)],
        log_path=tmp_path / "echo.log",
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
        cwd=ROOT,
    )
    process.start()
    try:
        async with open_channel(
            f"dns:///127.0.0.1:{port}", caller="tester", callee="echo", secret=SECRET, idempotent=(METHOD,)
        ) as channel:
            async with asyncio.timeout(30):
                await channel.check()
            yield process, EchoStub(channel), channel
    finally:
        process.kill()


async def test_a_service_that_hangs_is_refused_at_once(tmp_path: Path) -> None:
    async with _echo_process(tmp_path) as (process, stub, channel):

        async def call() -> None:
            await stub.echo("hello", timeout=LIMIT)

        await call()
        with capture_logs() as logs:
            process.send_signal(signal.SIGSTOP)
            try:
                await _opens(call, "echo")
                with pytest.raises(Unavailable):
                    await channel.check()
                await _hangs_on(logs)
            finally:
                process.send_signal(signal.SIGCONT)
            await _comes_back(call)
            await channel.check()
        assert _told(logs) == ["breaker.opened", "breaker.closed"]


async def test_errors_that_a_service_answers_open_nothing(tmp_path: Path) -> None:
    async with _echo_process(tmp_path) as (_, stub, _):
        for _ in range(10):
            with pytest.raises(NotFound):
                await stub.echo("not found", timeout=5)
            with pytest.raises(Unavailable) as told:
                await stub.echo("slow outage", timeout=5)
            assert told.value.dependency == "mongodb"
        assert await stub.echo("hello") == "hello"


def _set_memory_limit(server: RabbitMQServer, *limit: str) -> None:
    node = server.processes[-1]
    ctl = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "set_vm_memory_high_watermark", *limit]
    subprocess.run(ctl, env=node._env, check=True, capture_output=True)


@pytest.mark.timeout(120)
async def test_a_broker_whose_alarm_blocks_publishers_is_down_until_the_alarm_is_over() -> None:
    """Such a broker accepts connections and even the first message, so that only publishing tells."""
    topology = Topology((f"work-{uuid4().hex[:8]}",), ())
    with RabbitMQServer() as server:
        async with Broker(
            SecretStr(server.url), name="test", topology=topology, publish_timeout_seconds=LIMIT
        ) as broker:
            await broker.session()

            async def call() -> None:
                await broker.publish(topology.queues[0], b"a message")

            await call()
            with capture_logs() as logs:
                await asyncio.to_thread(_set_memory_limit, server, "absolute", "1000000")
                await _opens(call, "rabbitmq")
                await _hangs_on(logs)
                await _opens(call, "rabbitmq")  # no call waited for a connection that did not help
                with pytest.raises(Unavailable, match="its alarm blocks publishers: low on memory"):
                    await broker.check()
                await asyncio.to_thread(_set_memory_limit, server, "0.6")
                await _comes_back(call)
            assert _told(logs) == ["breaker.opened", "breaker.closed"]
            alarms = [(log["event"], log.get("reason")) for log in logs if "blocked" in log["event"]]
            assert alarms == [("amqp.blocked", "low on memory"), ("amqp.unblocked", None)]
