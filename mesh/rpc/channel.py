"""Channels to other services: a deadline and a token on every call, typed errors, quick reconnects."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Never, Self, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from mesh import deadline, tracing
from mesh.breaker import Breaker, State
from mesh.cancellation import end
from mesh.certificates import Rotation
from mesh.errors import DeadlineExceeded, Unavailable, unavailable
from mesh.metrics import RPC_CLIENT_SECONDS
from mesh.rpc.auth import TokenIssuer
from mesh.rpc.errors import STATUS_TRAILER, from_rpc_error
from mesh.rpc.messages import MAX_ANSWER_BYTES
from mesh.rpc.timing import observer
from mesh.rpc.tls import Material, TlsFiles, follow
from parley.common.v1.error_pb2 import ErrorReason

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # Neither side compresses, nor unpacks what it did not ask for.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Services of one cluster: come back within a second or two, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Channels of one process to one target are separate: closing one leaves the others alone.
    ("grpc.use_local_subchannel_pool", 1),
)
# How often the files of mutual TLS are looked at, and how long calls on the old connections may go on.
_ROTATION_SECONDS: Final = 10.0
_SILENCE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
_TRACED: Final = {"rpc.system": "grpc"}
_RETRY_POLICY: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


class RpcChannel(grpc.aio.Channel):
    """A ``grpc.aio`` channel for generated stubs; unary calls only.

    Awaiting a stub's method gives the answer or raises a ``ParleyError``: the one that the other side raised,
    or ``Unavailable`` / ``DeadlineExceeded`` naming ``callee``. Calls fail at once while the callee is down,
    and once ``breaker`` has seen that it hangs. A call made while another one is served ends with that one.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        callee: str,
        issuer: TokenIssuer,
        default_deadline_seconds: float,
        breaker: Breaker,
    ) -> None:
        self._channel = channel
        self._callee = callee
        self._breaker = breaker
        self._issuer = issuer
        self._default_deadline = default_deadline_seconds
        self._token = ""
        self._metadata = grpc.aio.Metadata()

    @property
    def plain(self) -> grpc.aio.Channel:
        """The channel of gRPC that is used now, for a probe that must pass where calls are refused."""
        return self._channel

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 - gRPC's generated code passes it
    ) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
        """Called by a generated stub for each of its methods."""
        channel, inner = self._channel, self._method(method, request_serializer, response_deserializer)
        observe = observer(RPC_CLIENT_SECONDS, method.removeprefix("/"))

        async def attempt(request: Any, timeout: float | None, traceparent: str = "") -> Any:  # noqa: ASYNC109 - gRPC's own argument
            nonlocal channel, inner
            if channel is not self._channel:  # the certificates changed
                channel, inner = (
                    self._channel,
                    self._method(method, request_serializer, response_deserializer),
                )
            seconds = self._seconds(timeout)
            started = time.perf_counter()
            code = "CANCELLED"
            try:
                with self._breaker.guard():
                    answer = await inner(request, timeout=seconds, metadata=self._metadata_of(traceparent))
            except Unavailable:
                code = "REFUSED"
                raise
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                raise from_rpc_error(error, self._callee) from error
            else:
                code = "OK"
                return answer
            finally:
                observe(code, time.perf_counter() - started)

        async def traced(request: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - as above
            span = tracing.step(method.removeprefix("/"), kind=tracing.Kind.CLIENT, attributes=_TRACED)
            with tracing.within(span):
                return await attempt(request, timeout, "" if span is None else span.traceparent)

        def call(request: Any, *, timeout: float | None = None) -> Awaitable[Any]:
            if tracing.current() is None:
                return attempt(request, timeout)
            return traced(request, timeout)

        return cast("grpc.aio.UnaryUnaryMultiCallable[Any, Any]", call)

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Never:
        """Not offered: nothing here streams."""
        raise TypeError(f"{method}: only unary calls go through this channel")

    stream_unary = unary_stream
    stream_stream = unary_stream

    async def replace(self, channel: grpc.aio.Channel) -> None:
        """Makes further calls on ``channel``; those under way end on the old one, which is then closed."""
        old, self._channel = self._channel, channel
        await old.close(self._default_deadline)

    async def close(self, grace: float | None = None) -> None:
        """Ends the calls in flight after ``grace`` seconds, at once by default."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002
        """As in gRPC."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As in gRPC."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """As in gRPC: returns once connected."""
        await self._channel.channel_ready()

    async def check(self) -> None:
        """A readiness check: returns once connected, asking for a connection if there is none.

        Raises:
            Unavailable: connected, but the callee does not answer.
        """
        if self._breaker.state is not State.CLOSED:
            raise unavailable(self._callee, f"{self._callee} does not answer")
        channel = self._channel
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _method(self, method: str, serializer: Any, deserializer: Any) -> Callable[..., Any]:
        multi_callable: Callable[..., Any] = self._channel.unary_unary(method, serializer, deserializer)
        return multi_callable

    def _seconds(self, timeout: float | None) -> float:
        """How long a call may take: as asked for, and no longer than the call that it is made for."""
        wanted = self._default_deadline if timeout is None else timeout
        left = deadline.remaining_seconds()
        if left is None:
            return wanted
        if left == 0:
            raise DeadlineExceeded(
                ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "no time is left to ask", dependency=self._callee
            )
        return min(wanted, left)

    def _metadata_of(self, traceparent: str) -> grpc.aio.Metadata:
        if not traceparent:
            return self._credentials()
        return grpc.aio.Metadata(*self._credentials(), (tracing.HEADER, traceparent))

    def _credentials(self) -> grpc.aio.Metadata:
        token = self._issuer.token()
        if token is not self._token:
            self._token = token
            self._metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))
        return self._metadata


@asynccontextmanager
async def open_channel(
    target: str,
    *,
    caller: str,
    callee: str,
    secret: SecretStr,
    tls: TlsFiles | None = None,
    idempotent: Iterable[str] = (),
    default_deadline_seconds: float = 5.0,
    rotation_seconds: float = _ROTATION_SECONDS,
    http_proxy: bool = False,
) -> AsyncIterator[RpcChannel]:
    """A channel to ``target`` while entered, spread over all addresses that the name resolves to.

    ``idempotent`` lists methods (``parley.chat.v1.ChatService/ListChats``) that gRPC may repeat, up to 3
    attempts, after UNAVAILABLE. It connects by itself and never waits for it here. With ``tls`` it shows the
    certificate of the files, which are looked at again every ``rotation_seconds``. With ``http_proxy`` it
    goes through the proxy that the environment names (``grpc_proxy``, ``https_proxy``, ``http_proxy``, but
    for ``no_grpc_proxy``, ``no_proxy``); otherwise those variables, there for others, change nothing.

    Raises:
        ValueError: the files of ``tls`` are not usable.
    """
    options = (
        *_OPTIONS,
        ("grpc.service_config", service_config(idempotent)),
        ("grpc.enable_http_proxy", int(http_proxy)),
    )
    issuer = TokenIssuer(secret.get_secret_value(), caller, callee)

    def connect(material: Material | None) -> grpc.aio.Channel:
        if material is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, material.channel_credentials(), options=options)

    async def probe() -> None:
        try:
            health = health_pb2_grpc.HealthStub(channel.plain)
            await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if _is_silence(error):
                raise

    material = None if tls is None else tls.read()
    async with (
        Breaker(callee, probe, is_silence=_is_silence) as breaker,
        RpcChannel(connect(material), callee, issuer, default_deadline_seconds, breaker) as channel,
    ):
        if tls is None or material is None:
            yield channel
            return
        following = asyncio.create_task(
            _follow(follow(tls, material), channel, connect, rotation_seconds), name=f"tls {callee}"
        )
        try:
            yield channel
        finally:
            await end(following)


async def _follow(
    rotation: Rotation[Material],
    channel: RpcChannel,
    connect: Callable[[Material], grpc.aio.Channel],
    every_seconds: float,
) -> None:
    """Makes new connections whenever the files changed, until cancelled."""
    while True:
        await asyncio.sleep(every_seconds)
        material = await asyncio.to_thread(rotation.changed)
        if material is not None:
            await channel.replace(connect(material))


def _is_silence(error: BaseException) -> bool:
    """Whether nobody answered. An outage that the callee itself tells of is an answer."""
    return (
        isinstance(error, grpc.aio.AioRpcError)
        and error.code() in _SILENCE
        and all(key != STATUS_TRAILER for key, _ in error.trailing_metadata() or ())
    )


def service_config(idempotent: Iterable[str]) -> str:
    """The gRPC service config (JSON): round-robin, and the retry policy for the methods named."""
    names = [dict(zip(("service", "method"), full_name.split("/"), strict=True)) for full_name in idempotent]
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if names:
        config["methodConfig"] = [{"name": names, "retryPolicy": _RETRY_POLICY}]
        # When more than half of the calls fail, stop adding load by retries (gRFC A6).
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
    return json.dumps(config)
