"""What a request costs before it is known who sends it, how large it may be, what is said of a bad one."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # published without a marker
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from pydantic import SecretStr

from mesh.errors import InvalidArgument, Unavailable
from mesh.rpc.channel import open_channel
from mesh.rpc.messages import DEFAULT_REQUEST_BYTES, MAX_ANSWER_BYTES
from mesh.rpc.server import RpcServer
from tests.integration.mesh.echo import METHOD, OPEN, EchoStub

SECRET = SecretStr("s" * 32)
HEALTH = "/grpc.health.v1.Health/Check"


class Parsing:
    """An echo service that knows what it parsed; ``answer`` takes the place of the echo."""

    def __init__(self) -> None:
        self.parsed: list[int] = []
        self.answer = ""

    def parse(self, data: bytes) -> StringValue:
        self.parsed.append(len(data))
        return StringValue.FromString(data)

    async def echo(self, request: StringValue, _: object) -> StringValue:
        return StringValue(value=self.answer or request.value)


def _register(parsing: Parsing, server: Any) -> None:
    service, name = METHOD.split("/")
    handler = grpc.unary_unary_rpc_method_handler(
        parsing.echo,
        request_deserializer=parsing.parse,
        response_serializer=StringValue.SerializeToString,
    )
    server.add_registered_method_handlers(service, {name: handler})


@pytest.fixture
def parsing() -> Parsing:
    return Parsing()


@pytest.fixture
async def port(parsing: Parsing) -> AsyncIterator[int]:
    async with RpcServer("echo", SECRET, access=OPEN, concurrency=1, default_deadline_seconds=0.2) as server:
        server.add(_register, parsing)
        yield await server.start("127.0.0.1", 0, field="echo_port")


@asynccontextmanager
async def plain(port: int, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """A channel as any program would open it."""
    options.setdefault("options", (("grpc.max_receive_message_length", -1),))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", **options) as channel:
        yield channel


def token() -> grpc.aio.Metadata:
    now = int(time.time())
    claims = {"iss": "back-end", "aud": "echo", "iat": now, "exp": now + 60}
    return grpc.aio.Metadata(("authorization", f"Bearer {jwt.encode(claims, SECRET.get_secret_value())}"))


async def refusal(
    channel: grpc.aio.Channel, body: bytes, *, method: str = f"/{METHOD}", **options: Any
) -> grpc.aio.AioRpcError:
    call: Any = channel.unary_unary(method)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(body, timeout=10, **options)
    return refused.value


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """What the ErrorInfo of a refusal says."""
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.message, info.domain) == (error.details(), "parley")
    return str(info.reason)


@pytest.fixture
def invalid() -> Iterator[None]:
    """The call counts, once, as INVALID_ARGUMENT."""

    def count() -> float:
        labels = {"method": METHOD, "code": "INVALID_ARGUMENT"}
        return REGISTRY.get_sample_value("parley_rpc_server_seconds_count", labels) or 0.0

    before = count()
    yield
    assert count() == before + 1


@pytest.mark.parametrize("size", [4, DEFAULT_REQUEST_BYTES + 2, 16 << 20])
async def test_what_a_stranger_sends_is_not_taken_in(port: int, parsing: Parsing, size: int) -> None:
    async with plain(port) as channel:
        error = await refusal(channel, b"\x0a\x00" * (size // 2))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")
    assert parsing.parsed == []


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("metadata", [None, token()], ids=["stranger", "caller"])
async def test_compressed_requests_are_refused_packed(
    port: int,
    parsing: Parsing,
    compression: grpc.Compression,
    metadata: grpc.aio.Metadata | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = b"\x0a\x00" * 100_000
    async with plain(port, compression=compression) as channel:
        # Several, because gRPC's own refusal and ours meet in any order.
        errors = await asyncio.gather(*(refusal(channel, body, metadata=metadata) for _ in range(8)))
    assert {error.code() for error in errors} == {grpc.StatusCode.UNIMPLEMENTED}
    assert parsing.parsed == []
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_request_may_be_as_large_as_its_method_says(port: int, parsing: Parsing) -> None:
    text = "x" * (DEFAULT_REQUEST_BYTES - 4)
    request = StringValue(value=text).SerializeToString()
    assert len(request) == DEFAULT_REQUEST_BYTES
    async with plain(port) as channel:
        call: Any = channel.unary_unary(f"/{METHOD}")
        answer = await call(request, metadata=token())
    assert answer == request
    assert parsing.parsed == [DEFAULT_REQUEST_BYTES]


@pytest.mark.usefixtures("invalid")
async def test_a_larger_one_is_refused_unparsed(port: int, parsing: Parsing) -> None:
    async with plain(port) as channel:
        error = await refusal(channel, b"\x0a\x00" * (DEFAULT_REQUEST_BYTES // 2 + 1), metadata=token())
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")
    assert error.details() == f"the request has 65,538 bytes; {METHOD} takes 65,536"
    assert parsing.parsed == []


@pytest.mark.usefixtures("invalid")
@pytest.mark.parametrize(
    "body",
    [
        b"no protobuf",
        b"\x0a\x7fcut short",
        b"\x0a\x01\xff",
        b"\x0a\x03\xed\xa0\xbd",  # the first half of an emoji, as JavaScript sends it
    ],
)
async def test_a_request_that_cannot_be_parsed_is_refused_in_our_words(port: int, body: bytes) -> None:
    async with plain(port) as channel:
        error = await refusal(channel, body, metadata=token())
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert error.details() == f"this is no request of {METHOD}, or a text in it is not UTF-8"


async def test_a_call_that_brings_no_request_ends(port: int) -> None:
    async with plain(port) as channel:
        ended: Any = channel.stream_unary(f"/{METHOD}")(iter(()), metadata=token())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ended
        assert reason_of(refused.value) == "INVALID_ARGUMENT"

        silent: Any = channel.stream_unary(f"/{METHOD}")(metadata=token())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await silent
        assert reason_of(refused.value) == "DEADLINE_EXCEEDED"


@pytest.mark.usefixtures("invalid")
async def test_an_answer_that_is_too_large_is_not_sent(port: int, parsing: Parsing) -> None:
    parsing.answer = "x" * MAX_ANSWER_BYTES
    async with plain(port) as channel:
        error = await refusal(channel, b"", metadata=token())
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")
    assert error.details() == "the answer would be too large; ask for less"


async def test_the_librarys_own_refusals_reach_no_caller_of_ours(port: int) -> None:
    async with open_channel(f"127.0.0.1:{port}", caller="t", callee="echo", secret=SECRET) as channel:
        with pytest.raises(InvalidArgument) as too_large:
            await EchoStub(channel).echo("x" * 3 * DEFAULT_REQUEST_BYTES)
    assert too_large.value.code == "TOO_LARGE"
    assert too_large.value.message == "too large for echo, or its answer is"


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED], ids=lambda code: code.name
)
async def test_a_proxy_that_refuses_a_service_refuses_no_user(code: grpc.StatusCode) -> None:
    async def refuse(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(code, "RBAC: access denied")
        raise AssertionError

    proxy = grpc.aio.server()
    service, name = METHOD.split("/")
    handler: Any = grpc.unary_unary_rpc_method_handler(refuse)
    proxy.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    port = proxy.add_insecure_port("127.0.0.1:0")
    await proxy.start()
    async with open_channel(f"127.0.0.1:{port}", caller="t", callee="echo", secret=SECRET) as channel:
        with pytest.raises(Unavailable, match="refuses this service's token"):
            await EchoStub(channel).echo("x")
    await proxy.stop(None)


async def test_health_parses_as_little_and_answers_under_load(port: int) -> None:
    """``concurrency`` is 1, and a call is under way."""
    async with plain(port) as channel, plain(port) as other:
        error = await refusal(channel, b"no protobuf", method=HEALTH)
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
        error = await refusal(channel, b"\x0a\x00" * DEFAULT_REQUEST_BYTES, method=HEALTH)
        assert error.code() is not grpc.StatusCode.UNKNOWN
        error = await refusal(channel, b"\x0a\x07unknown", method=HEALTH)
        assert error.code() is grpc.StatusCode.NOT_FOUND

        slow: Any = other.stream_unary(f"/{METHOD}")(metadata=token(), timeout=30)
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status
        slow.cancel()


async def test_health_is_watched_for_as_long_as_one_likes() -> None:
    async with RpcServer("echo", SECRET, access=OPEN, default_deadline_seconds=0.1) as server:
        server.add(_register, Parsing())
        port = await server.start("127.0.0.1", 0, field="echo_port")
        async with plain(port) as channel, asyncio.timeout(30):
            seen = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await seen.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            silent: Any = channel.stream_unary(f"/{METHOD}")(metadata=token())
            with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
                await silent  # which had no deadline of its own, as the watcher has none
            await server.set_serving(True)
            assert (await seen.read()).status == health_pb2.HealthCheckResponse.SERVING
            seen.cancel()
