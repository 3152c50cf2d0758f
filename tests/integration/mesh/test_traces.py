"""Traces over real gRPC and a real RabbitMQ, and collectors that are not there, or hang."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from pydantic import SecretStr

from devstack.ports import free_port
from mesh import tracing
from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Ack, Delivery, Outcome, Retry
from mesh.amqp.publishing import Outgoing
from mesh.amqp.topology import RetryTier, Topology
from mesh.errors import InvalidArgument
from mesh.otlp import Exporting
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.mesh.echo import METHOD, OPEN, Behaviour, EchoServicer, EchoStub, add_to_server
from tests.support.providers.collector import Collector

SECRET = SecretStr("s" * 32)
ONE = "00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01"
TWO = "00-22222222222222222222222222222222-bbbbbbbbbbbbbbbb-01"


def described(span: ReadableSpan) -> tuple[str, str, str | None]:
    assert span.context is not None
    parent = None if span.parent is None else f"{span.parent.span_id:016x}"
    return span.name, f"{span.context.span_id:016x}", parent


# Calls.


@asynccontextmanager
async def _echo(behaviour: Behaviour, caller: str) -> AsyncIterator[EchoStub]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(RpcServer("echo", SECRET, access=OPEN))
        server.add(add_to_server, EchoServicer(behaviour))
        port = await server.start("127.0.0.1", 0, field="echo_port")
        channel = open_channel(f"dns:///127.0.0.1:{port}", caller=caller, callee="echo", secret=SECRET)
        yield EchoStub(await stack.enter_async_context(channel))


async def _same(text: str) -> str:
    return text


async def test_a_call_is_two_spans_of_its_callers_trace(exporter: InMemorySpanExporter) -> None:
    async with _echo(_same, "edge") as stub:
        with tracing.within(tracing.begin("frame", parent=ONE)):
            assert await stub.echo("hello") == "hello"
    server, client, frame = map(described, exporter.get_finished_spans())
    assert (server[0], client[0], frame[0]) == (METHOD, METHOD, "frame")
    assert (server[2], client[2], frame[2]) == (client[1], frame[1], "a" * 16)


async def test_what_the_mesh_did_not_record_is_not_recorded_further_on(
    exporter: InMemorySpanExporter,
) -> None:
    async with _echo(_same, "edge") as stub:
        assert await stub.echo("hello") == "hello"
    assert exporter.get_finished_spans() == ()


async def test_a_call_of_others_begins_a_trace(exporter: InMemorySpanExporter) -> None:
    async with _echo(_same, "back-office") as stub:
        assert await stub.echo("hello") == "hello"
    (server,) = exporter.get_finished_spans()
    assert (server.name, server.parent) == (METHOD, None)
    assert (server.attributes or {})["parley.caller"] == "back-office"


async def test_a_refused_call_has_failed_by_its_code(exporter: InMemorySpanExporter) -> None:
    async def refuse(text: str) -> str:
        raise InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, f"not {text}")

    async with _echo(refuse, "edge") as stub:
        with tracing.within(tracing.begin("frame")), pytest.raises(InvalidArgument):
            await stub.echo("a secret")
    spans = exporter.get_finished_spans()
    assert [span.status.description for span in spans[:2]] == ["INVALID_ARGUMENT"] * 2
    assert "a secret" not in "".join(span.to_json() for span in spans)


# Messages.


class Handler:
    """Fails everything once."""

    def __init__(self) -> None:
        self.handled: list[list[Delivery]] = []

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.handled.append(list(deliveries))
        return [Retry("not yet") if delivery.attempt == 1 else Ack() for delivery in deliveries]


async def test_a_batch_links_to_the_traces_that_meet_in_it_also_when_it_is_tried_again(
    exporter: InMemorySpanExporter, amqp_url: str
) -> None:
    unique, handler = uuid4().hex[:8], Handler()
    topology = Topology((f"work-{unique}",), (RetryTier(f"retry-{unique}", 50),))
    (queue,) = topology.queues
    async with Broker(SecretStr(amqp_url), name="test", topology=topology) as broker:
        await broker.session()
        for parent in (ONE, TWO):
            with tracing.within(tracing.begin("send", parent=parent)):
                await broker.publish_many([Outgoing(queue, b"a message")])
        await broker.publish(queue, b"of no trace")
        consumer = Consumer(broker, queue, handler, batch_window_ms=500, batch_size=3)
        task = asyncio.create_task(consumer.run())
        async with asyncio.timeout(30):
            while sum(map(len, handler.handled)) < 6:
                await asyncio.sleep(0.02)
        await consumer.stop()
        await task
    published = {
        f"{span.context.trace_id:032x}": f"{span.context.span_id:016x}"
        for span in exporter.get_finished_spans()
        if span.context and span.name == f"publish {queue}"
    }
    assert published.keys() == {ONE.split("-")[1], TWO.split("-")[1]}
    batches = [span for span in exporter.get_finished_spans() if span.name == f"process {queue}"]
    assert len(handler.handled[0]) == 3
    first = batches[0]
    assert first.parent is None
    assert {(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in first.links} == set(
        published.items()
    )
    # They come again with the header that they had.
    linked = {f"{link.context.trace_id:032x}" for batch in batches[1:] for link in batch.links}
    above = {f"{batch.parent.trace_id:032x}" for batch in batches[1:] if batch.parent}
    assert published.keys() <= linked | above


# Collectors.


def _spans(result: str) -> float:
    return REGISTRY.get_sample_value("parley_trace_spans_total", {"result": result}) or 0.0


def _record(exporting: Exporting, count: int) -> None:
    tracing.turn_on(exporting.tracer, 1.0)
    for _ in range(count):
        with tracing.within(tracing.begin("frame")):
            pass
    tracing.turn_off()


@pytest.fixture(params=["away", "hangs"])
def nobody(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where nobody takes spans: nobody listens, or somebody who never answers."""
    if request.param == "away":
        yield f"http://127.0.0.1:{free_port()}"
        return
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_without_a_collector_nothing_waits_and_nothing_grows(nobody: str) -> None:
    dropped = _spans("dropped")
    exporting = Exporting("test", nobody)
    _record(exporting, 20_000)
    # What waits is bounded; what is under way is one batch, which the first look may have begun before.
    assert 20_000 - 3 * 4096 <= _spans("dropped") - dropped < 20_000
    exporting.close()  # though nobody ever answers
    assert threading.active_count() < 50


async def test_a_collector_that_comes_later_gets_what_waits() -> None:
    port, exported = free_port(), _spans("exported")
    exporting = Exporting("test", f"http://127.0.0.1:{port}")
    _record(exporting, 10)
    async with Collector(port) as collector:
        async with asyncio.timeout(30):
            while len(collector.spans) < 10:
                await asyncio.sleep(0.05)
        _record(exporting, 5)
        await asyncio.to_thread(exporting.close)  # sends what waits
        assert [span.service for span in collector.spans] == ["test"] * 15
        assert {span.name for span in collector.spans} == {"frame"}
    assert _spans("exported") - exported == 15


def test_whoever_has_no_traces_does_not_load_what_makes_them() -> None:
    # redis-py imports a part of the SDK where it is installed; what exports spans comes by mesh.otlp alone.
    program = (
        "import sys, edge.app, chat_service.app, persist_service.app, notify_service.app\n"
        "print([name for name in sys.modules if name.startswith(('mesh.otlp', 'opentelemetry.exporter'))])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
