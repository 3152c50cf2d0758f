"""What surrounds every served method: authentication, default deadline, errors, metrics.

Each handler is wrapped once, when it is registered. A ``grpc.aio`` server interceptor would be awaited and
would build a new handler for every call.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, NoReturn

import grpc

from mesh.errors import DeadlineExceeded, Internal, ParleyError, Unauthenticated
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.metrics import RPC_REFUSED, RPC_SERVER_SECONDS
from mesh.rpc.auth import TokenVerifier
from mesh.rpc.errors import STATUS_TRAILER, to_status
from parley.common.v1.error_pb2 import ErrorReason

_BEARER: Final = "Bearer "
_CALLER: ContextVar[str] = ContextVar("parley_caller", default="")
_log = get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


def current_caller() -> str:
    """The service that made the call being served; empty outside of a call."""
    return _CALLER.get()


class HandlerWrapper:
    """Wraps the handlers of one server."""

    def __init__(self, verifier: TokenVerifier, default_deadline_seconds: float) -> None:
        self._verifier = verifier
        self._default_deadline = default_deadline_seconds

    def wrap(self, method: str, handler: Any) -> Any:
        """The same handler with everything around it. Unary calls and streams of answers.

        Raises:
            TypeError: the handler takes a stream and gives one answer, which nothing here needs.
        """
        if handler.unary_unary is not None:
            return handler._replace(unary_unary=self._unary(method, handler.unary_unary))
        if handler.unary_stream is not None:
            return handler._replace(unary_stream=self._stream(method, handler.unary_stream))
        if handler.stream_stream is not None:
            return handler._replace(stream_stream=self._stream(method, handler.stream_stream))
        raise TypeError(f"{method}: client streaming is not served")

    def _unary(self, method: str, behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Any:
        observe = _observer(method)

        async def call(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            code = "OK"
            try:
                _CALLER.set(self._authenticate(context))
                if context.time_remaining() is not None:
                    return await behaviour(request, context)
                async with asyncio.timeout(self._default_deadline):
                    return await behaviour(request, context)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as error:  # noqa: BLE001 - the last boundary of a call
                failure = _failure(error, method)
                code = failure.status.name
                await _abort(context, failure)
            finally:
                observe(code, time.perf_counter() - started)

        return call

    def _stream(self, method: str, behaviour: Callable[[Any, Context], AsyncIterator[Any]]) -> Any:
        observe = _observer(method)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            started = time.perf_counter()
            code = "OK"
            try:
                _CALLER.set(self._authenticate(context))
                async for answer in behaviour(request, context):
                    yield answer
            except (asyncio.CancelledError, GeneratorExit):
                code = "CANCELLED"
                raise
            except Exception as error:  # noqa: BLE001 - the last boundary of a call
                failure = _failure(error, method)
                code = failure.status.name
                await _abort(context, failure)
            finally:
                observe(code, time.perf_counter() - started)

        return stream

    def _authenticate(self, context: Context) -> str:
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and isinstance(value, str) and value.startswith(_BEARER):
                try:
                    return self._verifier.caller(value[len(_BEARER) :])
                except Unauthenticated as error:
                    RPC_REFUSED.labels(error.code).inc()
                    raise
        RPC_REFUSED.labels("NO_TOKEN").inc()
        raise Unauthenticated(ErrorReason.ERROR_REASON_INVALID_TOKEN, "a service token is required")


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
    await context.abort(failure.status, failure.message, trailers)


def _observer(method: str) -> Callable[[str, float], None]:
    # labels() looks its child up under a lock on every call; the few codes of a method are kept here.
    children: dict[str, Callable[[float], None]] = {}

    def observe(code: str, seconds: float) -> None:
        child = children.get(code)
        if child is None:
            child = children[code] = RPC_SERVER_SECONDS.labels(method, code).observe
        child(seconds)

    return observe
