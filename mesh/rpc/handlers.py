"""What surrounds every served method: who may call it, load shedding, size, deadline, errors, metrics.

Each handler is wrapped once, when it is registered. A ``grpc.aio`` server interceptor would be awaited and
would build a new handler for every call.

To gRPC every method takes a stream of bytes, which is the same on the wire and costs the same: it calls a
handler before it reads the request, so who calls is known before the request is taken in, let alone parsed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NoReturn

import grpc

from mesh import deadline, tracing
from mesh.errors import (
    DeadlineExceeded,
    Internal,
    ParleyError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.metrics import RPC_IN_FLIGHT, RPC_REFUSED, RPC_SERVER_SECONDS, RPC_SHED
from mesh.rpc.access import ANYBODY, STRANGERS, Rules, callers_of
from mesh.rpc.auth import TokenVerifier
from mesh.rpc.errors import STATUS_TRAILER, to_status
from mesh.rpc.messages import encoder, parser
from mesh.rpc.timing import observer
from mesh.rpc.tls import service_names
from parley.common.v1.error_pb2 import ErrorReason

_BEARER: Final = "Bearer "
_ALTERNATIVE_NAMES: Final = "x509_subject_alternative_name"
# What a caller who was turned away waits: long enough to be relieved by, short enough for a person.
_SHED_RETRY_MS: Final = 200
_OF_THE_MESH: Final = frozenset({"edge", "chat", "persist", "notify"})
_CALLER: ContextVar[str] = ContextVar("parley_caller", default="")
_log = get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
Parse = Callable[[object], Any]
Encode = Callable[[Any], bytes]
Behaviour = Callable[[Any, Context], Awaitable[Any]]
Answers = Callable[[Any, Context], AsyncIterator[Any]]
RawAnswers = Callable[[Context], AsyncIterator[bytes]]


def current_caller() -> str:
    """The service that made the call being served; empty outside of a call."""
    return _CALLER.get()


class HandlerWrapper:
    """Wraps the handlers of one server."""

    def __init__(
        self,
        verifier: TokenVerifier,
        default_deadline_seconds: float,
        *,
        access: Mapping[str, Rules],
        concurrency: int,
        certified: bool,
    ) -> None:
        """`certified`: callers show certificates that must name them. `concurrency`: calls served at once."""
        self._verifier = verifier
        self._default_deadline = default_deadline_seconds
        self._access = access
        self._concurrency = concurrency
        self._certified = certified
        self._in_flight = 0
        RPC_IN_FLIGHT.set_function(lambda: self._in_flight)

    def wrap(self, method: str, handler: Any) -> Any:
        """The same handler with everything around it. Unary calls and streams of answers.

        Raises:
            TypeError: the handler takes a stream and gives one answer, which nothing here needs; or nothing
                says who may call it.
        """
        parse = parser(method, handler.request_deserializer)
        encode = encoder(method, handler.response_serializer)
        if handler.unary_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._unary(method, _answer(handler.unary_unary, parse, encode), self._default_deadline)
            )
        if handler.unary_stream is not None:
            return self._writing(method, handler, parse)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, _answers(handler.stream_stream, parse, encode))
            )
        raise TypeError(f"{method}: client streaming is not served")

    def _unary(
        self,
        method: str,
        answer: Callable[[Context], Awaitable[bytes | None]],
        default_deadline: float | None,
    ) -> Any:
        observe = observer(RPC_SERVER_SECONDS, method)
        allowed = self._callers(method)

        async def call(_: AsyncIterator[bytes], context: Context) -> bytes | None:
            started = time.perf_counter()
            code = "OK"
            try:
                caller = self._authorize(context, method, allowed)
                _CALLER.set(caller)
                with tracing.within(_span(context, method, caller)), self._admitted(allowed):
                    if context.time_remaining() is not None:
                        deadline.begin(context.time_remaining())
                        return await answer(context)
                    deadline.begin(default_deadline)
                    async with asyncio.timeout(default_deadline):
                        return await answer(context)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:  # of a servicer that is a library's
                code = _code_of(context)
                raise
            except Exception as error:  # noqa: BLE001 - the last boundary of a call
                failure = _failure(error, method)
                code = failure.status.name
                await _abort(context, failure)
            finally:
                observe(code, time.perf_counter() - started)

        return call

    def _writing(self, method: str, handler: Any, parse: Parse) -> Any:
        """For a servicer that writes its answers into the context, for as long as the caller listens."""

        async def write(context: Context) -> None:
            await handler.unary_stream(parse(await context.read()), context)

        return grpc.stream_stream_rpc_method_handler(
            self._unary(method, write, None), response_serializer=handler.response_serializer
        )

    def _stream(self, method: str, answers: Callable[[Context], AsyncIterator[bytes]]) -> Any:
        observe = observer(RPC_SERVER_SECONDS, method)
        allowed = self._callers(method)

        async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            started = time.perf_counter()
            code = "OK"
            try:
                _CALLER.set(self._authorize(context, method, allowed))
                with self._admitted(allowed):
                    async for answer in answers(context):
                        yield answer
            except (asyncio.CancelledError, GeneratorExit):
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:  # as above
                code = _code_of(context)
                raise
            except Exception as error:  # noqa: BLE001 - the last boundary of a call
                failure = _failure(error, method)
                code = failure.status.name
                await _abort(context, failure)
            finally:
                observe(code, time.perf_counter() - started)

        return stream

    def _callers(self, method: str) -> frozenset[str]:
        service, _, name = method.partition("/")
        callers = callers_of(service, name, self._access)
        if callers is None:
            raise TypeError(f"{method}: mesh.rpc.access does not say who may call it")
        return callers

    @contextmanager
    def _admitted(self, allowed: frozenset[str]) -> Iterator[None]:
        """Turns the call away while too many are under way: late answers to all would help nobody."""
        if allowed is STRANGERS:
            yield
            return
        if self._in_flight >= self._concurrency:
            RPC_SHED.inc()
            raise ResourceExhausted(
                ErrorReason.ERROR_REASON_OVERLOADED, "too many calls at once", retry_after_ms=_SHED_RETRY_MS
            )
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def _authorize(self, context: Context, method: str, allowed: frozenset[str]) -> str:
        if allowed is STRANGERS:
            return ""
        caller = self._authenticate(context)
        if allowed is not ANYBODY and caller not in allowed:
            RPC_REFUSED.labels("NOT_ALLOWED").inc()
            _log.warning("rpc.not_allowed", method=method, caller=caller)
            raise PermissionDenied(
                ErrorReason.ERROR_REASON_PERMISSION_DENIED, f"{caller} may not call {method}"
            )
        return caller

    def _authenticate(self, context: Context) -> str:
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and isinstance(value, str) and value.startswith(_BEARER):
                try:
                    caller = self._verifier.caller(value[len(_BEARER) :])
                except Unauthenticated as error:
                    RPC_REFUSED.labels(error.code).inc()
                    raise
                if self._certified and caller not in service_names(
                    context.auth_context().get(_ALTERNATIVE_NAMES, ())
                ):
                    RPC_REFUSED.labels("OTHER_CERTIFICATE").inc()
                    raise Unauthenticated(
                        ErrorReason.ERROR_REASON_INVALID_TOKEN, f"the certificate does not name {caller}"
                    )
                return caller
        RPC_REFUSED.labels("NO_TOKEN").inc()
        raise Unauthenticated(ErrorReason.ERROR_REASON_INVALID_TOKEN, "a service token is required")


def _answer(behaviour: Behaviour, parse: Parse, encode: Encode) -> Callable[[Context], Awaitable[bytes]]:
    async def answer(context: Context) -> bytes:
        return encode(await behaviour(parse(await context.read()), context))

    return answer


def _answers(behaviour: Answers, parse: Parse, encode: Encode) -> RawAnswers:
    async def requests(context: Context) -> AsyncIterator[Any]:
        while (data := await context.read()) is not grpc.aio.EOF:
            yield parse(data)

    async def answers(context: Context) -> AsyncIterator[bytes]:
        async for answer in behaviour(requests(context), context):
            yield encode(answer)

    return answers


def _code_of(context: Context) -> str:
    code = context.code()
    return next((known.name for known in grpc.StatusCode if code in (known, known.value[0])), "UNKNOWN")


def _span(context: Context, method: str, caller: str) -> tracing.Span | None:
    if not tracing.on():
        return None
    pairs = context.invocation_metadata() or ()
    parent = next((str(value) for key, value in pairs if key == tracing.HEADER), "")
    if not parent and caller in _OF_THE_MESH:
        return None  # it has decided that this is not recorded
    return tracing.begin(
        method,
        parent=parent,
        kind=tracing.Kind.SERVER,
        attributes={"rpc.system": "grpc", "parley.caller": caller},
    )


def _failure(error: Exception, method: str) -> ParleyError:
    if isinstance(error, ParleyError):
        if isinstance(error, Internal):
            _log.error("rpc.internal_error", method=method, caller=_CALLER.get(), error=error.message)
        return error
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "not done in time")
    call_id = new_object_id()
    _log.error("rpc.unexpected_error", method=method, caller=_CALLER.get(), call_id=call_id, exc_info=error)
    return Internal(ErrorReason.ERROR_REASON_INTERNAL, f"internal error; call {call_id}")


async def _abort(context: Context, failure: ParleyError) -> NoReturn:
    trailers = ((STATUS_TRAILER, to_status(failure).SerializeToString()),)
    try:
        await context.abort(failure.status, failure.message, trailers)
    except grpc.aio.InternalError:
        # The call is over: its caller went, or gRPC refused it by itself, because it is compressed say. gRPC
        # logs a traceback of any other exception, so strangers could fill the log.
        raise asyncio.CancelledError from None
