"""How a service starts, is told to stop, and stops in order.

``run_service`` owns the event loop and the signals. The service's ``serve`` enters what it needs into a
``Lifecycle``; on SIGTERM or SIGINT the drain callbacks run, last registered first, then supervised tasks are
cancelled and contexts are left, last entered first, all within ``drain_seconds``. A second signal ends at
once.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import Any, TypeVar

import uvloop

from mesh import tracing
from mesh.backoff import Backoff
from mesh.build import show_build
from mesh.cancellation import end, is_cancelled
from mesh.descriptors import raise_limit
from mesh.errors import Unavailable
from mesh.event_loop import watch_lag
from mesh.logs import configure_logs, get_logger
from mesh.metrics import TASK_RESTARTS
from mesh.outage import Outage
from mesh.settings import EX_CONFIG, MeshSettings, unknown_variables, variable_name

_WORKS_SECONDS = 5.0  # a task that runs so long has got what it waited for
_STABLE_SECONDS = 30.0  # a task that ran this long starts over with short waits when it fails

_log = get_logger()
T = TypeVar("T")


class BindError(Exception):
    """An address to listen on is not free; ``field`` is the settings field that names the port."""

    def __init__(self, host: str, port: int, field: str) -> None:
        address = f"[{host}]" if ":" in host else host
        super().__init__(f"cannot listen on {address}:{port}; set {variable_name(field)} to another port")
        self.host = host
        self.port = port
        self.variable = variable_name(field)


class Lifecycle:
    """What a running service holds, released in the reverse order of getting it."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._drains: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._stop = asyncio.Event()

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enters ``context`` now and leaves it on shutdown, after everything that was entered later."""
        return await self._stack.enter_async_context(context)

    def on_drain(self, name: str, callback: Callable[[], Awaitable[None]]) -> None:
        """Registers a phase of the drain: ``callback`` takes no new work and returns once the old is done.

        It is cancelled after half of the time that is left until the drain's deadline.
        """
        self._drains.append((name, callback))

    def supervise(self, name: str, factory: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Keeps the coroutine of ``factory`` running, in a task of its own, until shutdown.

        When it raises, the failure is logged and it is started again after a back-off with jitter. When it
        returns, it is done. Shutdown cancels it.
        """
        task = asyncio.create_task(_keep_running(name, factory), name=name)
        self._stack.push_async_callback(end, task)

    @property
    def stopping(self) -> bool:
        """Whether the drain has begun."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        """Begins the drain, as SIGTERM does."""
        self._stop.set()

    async def wait_for_stop(self) -> None:
        """Returns once the drain was asked for."""
        await self._stop.wait()

    async def close(self, deadline_seconds: float) -> None:
        """Drains and releases everything; gives up on what has not ended by the deadline (logged)."""
        self._stop.set()
        give_up_at = asyncio.get_running_loop().time() + deadline_seconds
        await self._drain(give_up_at)
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._stack.aclose()
        except TimeoutError:
            _log.error("service.close_overran", deadline_seconds=deadline_seconds)

    async def _drain(self, give_up_at: float) -> None:
        loop = asyncio.get_running_loop()
        while self._drains:
            name, callback = self._drains.pop()
            # Half of what is left: a phase that hangs leaves time for those after it, and for the closing.
            seconds = (give_up_at - loop.time()) / 2
            _log.info("service.draining", phase=name, at_most_seconds=round(seconds, 2))
            try:
                async with asyncio.timeout(seconds):
                    await callback()
            except TimeoutError:
                _log.error("service.drain_overran", phase=name)
            except Exception:  # noqa: BLE001 - a phase that fails must not keep the others from draining
                _log.exception("service.drain_failed", phase=name)


Serve = Callable[[Lifecycle], Awaitable[Mapping[str, int]]]


def run_service(name: str, settings: MeshSettings, serve: Serve) -> None:
    """Runs a service until it is told to stop, then ends the process with exit code 0.

    ``serve`` builds the service and returns its bound ports by name once it listens; it must not wait for
    backing servers. Exit code 78: a port to listen on is not free. 1: ``serve`` failed. 128 + n: a second
    signal n came during the drain.
    """
    configure_logs(name, settings.log_level, settings.log_format)
    for found, meant in unknown_variables(type(settings)):
        guess = {"did_you_mean": meant} if meant else {}
        _log.warning("settings.unknown_variable", variable=found, **guess)
    show_build(name)
    raise_limit()
    with _tracing(name, settings):
        code = uvloop.run(_run(settings, serve))
    sys.exit(code)


@contextmanager
def _tracing(name: str, settings: MeshSettings) -> Iterator[None]:
    """Traces are on inside, where the settings say where they go."""
    if settings.traces_endpoint is None:
        yield
        return
    from mesh.otlp import Exporting  # noqa: PLC0415 - whoever needs no traces need not load them either

    exporting = Exporting(name, settings.traces_endpoint, http_proxy=settings.rpc_http_proxy)
    tracing.turn_on(exporting.tracer, settings.traces_sample)
    try:
        yield
    finally:
        tracing.turn_off()
        exporting.close()


async def _run(settings: MeshSettings, serve: Serve) -> int:
    lifecycle = Lifecycle()
    _handle_signals(lifecycle)
    lifecycle.supervise("event loop lag", watch_lag)
    start = asyncio.create_task(_start(lifecycle, serve), name="start")
    stop = asyncio.create_task(lifecycle.wait_for_stop(), name="wait-for-stop")
    await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if start.done():
        code = start.result()
        if code == 0:
            await stop
    await end(start, stop)
    _log.info("service.stopping", deadline_seconds=settings.drain_seconds)
    await lifecycle.close(settings.drain_seconds)
    _log.info("service.stopped", exit_code=code)
    return code


async def _start(lifecycle: Lifecycle, serve: Serve) -> int:
    try:
        ports = await serve(lifecycle)
    except BindError as error:
        _log.error("service.bind_failed", host=error.host, port=error.port, variable=error.variable)
        return EX_CONFIG
    except Exception:  # noqa: BLE001 - the last boundary of start-up
        _log.exception("service.start_failed")
        return 1
    # What exists now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    _log.info("service.started", pid=os.getpid(), ports=dict(ports))
    return 0


def _handle_signals(lifecycle: Lifecycle) -> None:
    def on_signal(number: signal.Signals) -> None:
        if lifecycle.stopping:
            _log.warning("service.killed", signal=number.name)
            sys.stderr.flush()
            os._exit(128 + number)
        _log.info("service.signal", signal=number.name)
        lifecycle.request_stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


async def _keep_running(name: str, factory: Callable[[], Coroutine[Any, Any, None]]) -> None:
    backoff = Backoff(base=0.2, cap=15.0)
    outage = Outage("task.waits", "task.goes_on", quiet_seconds=0, task=name)
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        works = loop.call_later(_WORKS_SECONDS, outage.worked)
        try:
            await factory()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            if loop.time() - started > _STABLE_SECONDS:
                backoff.reset()
            delay = backoff.next_delay()
            TASK_RESTARTS.labels(name).inc()
            if isinstance(error, Unavailable):
                outage.failed(dependency=error.dependency, error=error.message)
            else:
                _log.exception("task.failed", task=name, restart_in_seconds=round(delay, 2))
            works.cancel()  # before the wait, which is not work
            await asyncio.sleep(delay)
        else:
            return
        finally:
            works.cancel()
