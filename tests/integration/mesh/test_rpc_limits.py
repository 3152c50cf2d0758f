"""Who may call, for how long, and how many at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from mesh import deadline
from mesh.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from mesh.rpc.access import ACCESS, Rules, callers_of
from mesh.rpc.channel import open_channel
from mesh.rpc.server import RpcServer
from parley.chat.v1 import chat_service_pb2
from parley.notify.v1 import notify_service_pb2, webhook_service_pb2
from parley.persist.v1 import persist_service_pb2
from tests.integration.mesh.echo import METHOD, OPEN, Behaviour, EchoServicer, EchoStub, add_to_server

SECRET = SecretStr("s" * 32)
SERVICE = METHOD.split("/", maxsplit=1)[0]


@asynccontextmanager
async def served(
    behaviour: Behaviour, *, access: Mapping[str, Rules] = OPEN, concurrency: int = 100
) -> AsyncIterator[str]:
    async with RpcServer("echo", SECRET, access=access, concurrency=concurrency) as server:
        server.add(add_to_server, EchoServicer(behaviour))
        yield f"dns:///127.0.0.1:{await server.start('127.0.0.1', 0, field='echo_port')}"


@asynccontextmanager
async def calling(target: str, caller: str = "tester") -> AsyncIterator[EchoStub]:
    async with open_channel(target, caller=caller, callee="echo", secret=SECRET) as channel:
        yield EchoStub(channel)


async def _same(text: str) -> str:
    return text


async def test_only_those_whom_the_table_names_may_call() -> None:
    access = {**ACCESS, SERVICE: {"*": frozenset({"chat"})}}
    async with (
        served(_same, access=access) as target,
        calling(target, "chat") as chat,
        calling(target, "edge") as edge,
    ):
        assert await chat.echo("x") == "x"
        with pytest.raises(Unavailable) as refusal:
            await edge.echo("x")
    # Told like an outage, for the callee is as good as away; which method it was is for the callee's log.
    assert refusal.value.message == "echo does not take this call from this service"


async def test_a_rule_for_one_method_comes_before_that_for_all() -> None:
    access = {**ACCESS, SERVICE: {"*": frozenset({"chat"}), "Echo": frozenset({"edge"})}}
    async with (
        served(_same, access=access) as target,
        calling(target, "edge") as edge,
        calling(target, "chat") as chat,
    ):
        assert await edge.echo("x") == "x"
        with pytest.raises(Unavailable):
            await chat.echo("x")


async def test_a_service_that_the_table_does_not_know_is_not_served() -> None:
    with pytest.raises(TypeError, match="does not say who may call"):
        async with served(_same, access=ACCESS):
            pass


async def test_a_call_made_for_another_ends_with_it() -> None:
    left: list[float] = []
    ended = asyncio.Event()

    async def behind(_: str) -> str:
        left.append(deadline.remaining_seconds() or 0)
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    async with served(behind) as target, calling(target) as inner:
        # The inner call asks for no deadline of its own: its default of 5 s is longer than what is left.
        async def front(text: str) -> str:
            return await inner.echo(text)

        async with served(front) as front_target, calling(front_target) as outer:
            with pytest.raises(DeadlineExceeded):
                await outer.echo("x", timeout=2)
            async with asyncio.timeout(30):
                await ended.wait()
    # gRPC rounds what it sends, up as well: far from its own 5 s is what counts.
    assert 0 < left[0] < 3


async def test_nobody_is_asked_when_no_time_is_left() -> None:
    asked: list[str] = []

    async def count(text: str) -> str:
        asked.append(text)
        return text

    async def late(stub: EchoStub) -> None:
        deadline.begin(0)
        with pytest.raises(DeadlineExceeded, match="no time is left"):
            await stub.echo("late")

    async with served(count) as target, calling(target) as stub:
        await asyncio.create_task(late(stub))  # a task of its own: the deadline is of a task
        assert await stub.echo("now") == "now"
    assert asked == ["now"]


async def test_work_that_outlives_its_call_has_all_the_time() -> None:
    async def inside() -> float | None:
        deadline.begin(0.01)
        with deadline.without_deadline():
            task = asyncio.create_task(remaining())
        return await task

    async def remaining() -> float | None:
        return deadline.remaining_seconds()

    assert await asyncio.create_task(inside()) is None


async def test_calls_beyond_the_limit_are_turned_away_at_once() -> None:
    release = asyncio.Event()
    under_way = asyncio.Semaphore(0)

    async def wait(text: str) -> str:
        under_way.release()
        await release.wait()
        return text

    async with served(wait, concurrency=2) as target, calling(target) as stub:
        first = [asyncio.create_task(stub.echo(str(n))) for n in range(2)]
        for _ in first:
            await under_way.acquire()
        with pytest.raises(ResourceExhausted) as refusal:
            await stub.echo("one too many")
        assert (refusal.value.code, refusal.value.retry_after_ms) == ("OVERLOADED", 200)
        release.set()
        assert await asyncio.gather(*first) == ["0", "1"]
        assert await stub.echo("again") == "again"


async def test_a_target_may_be_a_unix_socket(tmp_path: Path) -> None:
    """As a proxy beside the pod would offer it."""
    server = grpc.aio.server()
    add_to_server(EchoServicer(_same), server)
    server.add_insecure_port(f"unix:{tmp_path}/proxy.sock")
    await server.start()
    async with calling(f"unix:{tmp_path}/proxy.sock") as stub:
        assert await stub.echo("x") == "x"
    await server.stop(None)


def test_every_method_that_is_served_has_callers() -> None:
    files = (chat_service_pb2, notify_service_pb2, webhook_service_pb2, persist_service_pb2)
    served_methods = {
        service.full_name: {method.name for method in service.methods}
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
    }
    assert served_methods.keys() <= ACCESS.keys()
    for service, methods in served_methods.items():
        assert {name for name in ACCESS[service] if name != "*"} <= methods, "a rule for no method"
        assert all(callers_of(service, method) is not None for method in methods)
