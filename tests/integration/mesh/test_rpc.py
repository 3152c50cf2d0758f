import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import jwt
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from pydantic import SecretStr

from mesh.errors import (
    CATEGORY_OF,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unavailable,
    error_for,
)
from mesh.lifecycle import BindError
from mesh.rpc.channel import RpcChannel, open_channel
from mesh.rpc.handlers import current_caller
from mesh.rpc.messages import DEFAULT_REQUEST_BYTES
from mesh.rpc.server import RpcServer
from parley.common.v1.error_pb2 import ErrorReason
from tests.integration.mesh.echo import METHOD, OPEN, Behaviour, EchoServicer, EchoStub, add_to_server

SECRET = SecretStr("s" * 32)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def _same(text: str) -> str:
    return text


@asynccontextmanager
async def _served(
    behaviour: Behaviour = _same, *, port: int = 0, default_deadline: float = 5.0
) -> AsyncIterator[tuple[RpcServer, int]]:
    async with RpcServer("echo", SECRET, access=OPEN, default_deadline_seconds=default_deadline) as server:
        server.add(add_to_server, EchoServicer(behaviour))
        yield server, await server.start("127.0.0.1", port, field="echo_port")


@asynccontextmanager
async def _calling(
    port: int, *, secret: SecretStr = SECRET, callee: str = "echo"
) -> AsyncIterator[RpcChannel]:
    target = f"dns:///127.0.0.1:{port}"
    async with open_channel(
        target, caller="tester", callee=callee, secret=secret, idempotent=(METHOD,)
    ) as channel:
        yield channel


@asynccontextmanager
async def _echo(behaviour: Behaviour = _same, **options: float) -> AsyncIterator[EchoStub]:
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(_served(behaviour, **options))  # type: ignore[arg-type]
        yield EchoStub(await stack.enter_async_context(_calling(port)))


async def test_a_call_arrives_and_names_its_caller() -> None:
    async def who(text: str) -> str:
        return f"{text} {current_caller()}"

    async with _echo(who) as stub:
        assert await stub.echo("hello") == "hello tester"
    assert current_caller() == ""


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "INVALID_TOKEN"),
        ((("authorization", "Bearer"),), "INVALID_TOKEN"),
        ((("authorization", "Basic dXNlcg=="),), "INVALID_TOKEN"),
        ((("authorization", "Bearer rubbish"),), "INVALID_TOKEN"),
    ],
)
async def test_a_call_without_a_good_token_is_refused(
    metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    calls: list[str] = []

    async def record(text: str) -> str:
        calls.append(text)
        return text

    async with _served(record) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await EchoStub(channel).echo("in", metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert reason.encode() in dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    assert calls == []


async def test_an_expired_token_is_refused_over_the_wire() -> None:
    then = int(time.time()) - 3600
    token = jwt.encode(
        {"iss": "tester", "aud": "echo", "iat": then, "exp": then + 60}, SECRET.get_secret_value()
    )
    async with _served() as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await EchoStub(channel).echo("in", metadata=(("authorization", f"Bearer {token}"),))
    assert refused.value.details() == "service token has expired"


async def test_a_token_of_another_secret_or_for_another_service_is_refused() -> None:
    # An outage to the caller's own callers: no other token of a user would help.
    async with _served() as (_, port):
        async with _calling(port, secret=SecretStr("x" * 32)) as channel:
            with pytest.raises(Unavailable, match="refuses this service's token"):
                await EchoStub(channel).echo("in")
        async with _calling(port, callee="persist") as channel:
            with pytest.raises(Unavailable, match="refuses this service's token"):
                await EchoStub(channel).echo("in")


async def test_health_needs_no_token_and_follows_readiness() -> None:
    async with _served() as (server, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def status(service: str) -> int:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            return int(answer.status)

        for service in ("", "test.v1.EchoService"):
            assert await status(service) == NOT_SERVING
            await server.set_serving(True)
            assert await status(service) == SERVING
            await server.set_serving(False)


_BETWEEN_SERVICES = {
    ErrorReason.ERROR_REASON_INVALID_TOKEN,
    ErrorReason.ERROR_REASON_TOKEN_EXPIRED,
    ErrorReason.ERROR_REASON_PERMISSION_DENIED,
}


@pytest.mark.parametrize("reason", sorted(CATEGORY_OF.keys() - _BETWEEN_SERVICES), ids=ErrorReason.Name)
async def test_every_error_arrives_as_it_was_raised(reason: ErrorReason.ValueType) -> None:
    async def fail(text: str) -> str:
        raise error_for(reason, text, retry_after_ms=1500, dependency="redis")

    async with (
        _served(fail) as (_, port),
        # No retry policy here: each call is one attempt.
        open_channel(f"127.0.0.1:{port}", caller="t", callee="echo", secret=SECRET) as channel,
    ):
        with pytest.raises(CATEGORY_OF[reason]) as failed:
            await EchoStub(channel).echo("the reason, w\u00e4hrend")
    error = failed.value
    assert (error.reason, error.message, error.retry_after_ms, error.dependency) == (
        reason,
        "the reason, w\u00e4hrend",
        1500,
        "redis",
    )


async def test_an_unexpected_exception_tells_the_caller_nothing() -> None:
    async def fail(text: str) -> str:
        raise KeyError(f"secret {text}")

    async with _echo(fail) as stub:
        with pytest.raises(Internal) as failed:
            await stub.echo("plans")
    assert failed.value.code == "INTERNAL"
    assert "plans" not in failed.value.message
    assert "KeyError" not in failed.value.message


async def test_the_callers_deadline_ends_the_call_and_cancels_the_work() -> None:
    cancelled = asyncio.Event()

    async def hang(text: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return text

    async with _echo(hang) as stub:
        with pytest.raises(DeadlineExceeded) as failed:
            await stub.echo("x", timeout=0.1)
        assert failed.value.dependency == "echo"
        async with asyncio.timeout(30):
            await cancelled.wait()


async def test_a_call_without_a_deadline_gets_one_from_the_server() -> None:
    async def hang(text: str) -> str:
        await asyncio.Event().wait()
        return text

    now = int(time.time())
    token = jwt.encode({"iss": "old", "aud": "echo", "iat": now, "exp": now + 60}, SECRET.get_secret_value())
    async with (
        _served(hang, default_deadline=0.1) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await EchoStub(channel).echo("x", metadata=(("authorization", f"Bearer {token}"),))
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_cancelling_the_caller_cancels_the_work() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(text: str) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return text

    async with _echo(hang) as stub, asyncio.timeout(30):
        call = asyncio.create_task(stub.echo("x"))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await cancelled.wait()


async def test_a_drain_finishes_the_call_in_flight_and_refuses_new_ones() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(text: str) -> str:
        started.set()
        await release.wait()
        return text

    async with _served(slow) as (server, port), _calling(port) as channel, asyncio.timeout(30):
        stub = EchoStub(channel)
        in_flight = asyncio.create_task(stub.echo("last"))
        await started.wait()
        stopping = asyncio.create_task(server.stop(10.0))
        refused = False
        while not refused:
            try:
                await stub.echo("new", timeout=0.2)
            except DeadlineExceeded:  # accepted just before the drain began
                continue
            except Unavailable as error:
                refused = error.dependency == "echo"
        release.set()
        assert await in_flight == "last"
        await stopping


async def test_a_drain_that_is_out_of_time_ends_what_is_left_with_the_server() -> None:
    started = asyncio.Event()

    async def hang(_: str) -> str:
        started.set()
        return await asyncio.Future()

    async with asyncio.timeout(30):  # before the call's own deadline
        async with _served(hang) as (server, port), _calling(port) as channel:
            in_flight = asyncio.create_task(EchoStub(channel).echo("last", timeout=120))
            await started.wait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.stop(10.0), 0.1)  # as Lifecycle ends a phase
            assert not in_flight.done()
            await server.stop(0)  # as leaving it does
            with pytest.raises(Unavailable):
                await in_flight


async def test_a_drain_cancels_what_overstays_its_grace() -> None:
    started = asyncio.Event()

    async def hang(text: str) -> str:
        started.set()
        await asyncio.Event().wait()
        return text

    async with _served(hang) as (server, port), _calling(port) as channel:
        call = asyncio.create_task(EchoStub(channel).echo("x", timeout=120))
        await started.wait()
        async with asyncio.timeout(30):  # before the call's own deadline
            await server.stop(0.2)
            with pytest.raises(Unavailable):
                await call


async def test_a_channel_fails_at_once_while_the_server_is_away_and_comes_back_with_it() -> None:
    async with _served() as (_, port):
        pass
    async with _calling(port) as channel, asyncio.timeout(30):
        stub = EchoStub(channel)
        with pytest.raises(Unavailable) as failed:
            await stub.echo("x", timeout=120)  # longer than this test waits
        assert failed.value.dependency == "echo"
        async with _served(port=port):
            await channel.check()
            assert await stub.echo("first") == "first"
        with pytest.raises(Unavailable):
            await stub.echo("x")
        async with _served(port=port):
            await channel.check()
            assert await stub.echo("again") == "again"


async def test_an_idempotent_call_is_repeated_after_unavailable() -> None:
    calls: list[str] = []

    async def flaky(text: str) -> str:
        calls.append(text)
        if len(calls) < 3:
            raise error_for(ErrorReason.ERROR_REASON_UNAVAILABLE, "not now")
        return text

    async with _echo(flaky) as stub:
        assert await stub.echo("x") == "x"
    assert len(calls) == 3


async def test_another_call_is_not_repeated() -> None:
    calls: list[str] = []

    async def fail(text: str) -> str:
        calls.append(text)
        raise error_for(ErrorReason.ERROR_REASON_UNAVAILABLE, "not now")

    async with (
        _served(fail) as (_, port),
        open_channel(f"127.0.0.1:{port}", caller="t", callee="echo", secret=SECRET) as channel,
    ):
        with pytest.raises(Unavailable):
            await EchoStub(channel).echo("x")
    assert len(calls) == 1


async def test_a_message_over_the_limit_is_refused_as_too_large() -> None:
    async with _echo() as stub:
        with pytest.raises(InvalidArgument) as failed:
            await stub.echo("x" * (DEFAULT_REQUEST_BYTES))
        assert failed.value.code == "TOO_LARGE"
        assert not failed.value.retryable


async def test_a_busy_port_names_the_setting_that_changes_it() -> None:
    async with _served() as (_, port):
        with pytest.raises(BindError, match="PARLEY_ECHO_PORT"):
            async with _served(port=port):
                pytest.fail("two servers on one port")


async def test_calls_are_measured_on_both_sides() -> None:
    labels = {"method": METHOD, "code": "OK"}

    def counts() -> tuple[float, ...]:
        sides = ("server", "client")
        return tuple(
            REGISTRY.get_sample_value(f"parley_rpc_{side}_seconds_count", labels) or 0 for side in sides
        )

    before = counts()
    async with _echo() as stub:
        await stub.echo("x")
    assert counts() == tuple(count + 1 for count in before)
