"""A circuit breaker: a dependency that hangs is waited for by a few calls, and then by none.

What fails at once needs no breaker; what does not answer at all does: a frozen process, a link that drops
packets. The first silence makes it suspect: from then on a small probe, never a caller's own call, asks again
and again whether the dependency answers. After a few silences in a row, of calls or of probes, calls are
refused at once, until there is an answer (Michael Nygard, "Release It!", "Circuit Breaker").
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from mesh.backoff import Backoff
from mesh.cancellation import end, is_cancelled
from mesh.errors import unavailable
from mesh.logs import get_logger
from mesh.metrics import BREAKER_REFUSED, BREAKER_STATE

_log = get_logger()


class State(Enum):
    """The states of a circuit; the value is what the metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class Circuit:
    """The rules alone, without clock, tasks or I/O.

    ``threshold`` failures in a row, of calls or of probes, open it; an answer to either closes it. ``period``
    counts how often it was opened: a failure of a call that began before that says nothing about now.
    """

    threshold: int
    state: State = State.CLOSED
    failures: int = 0
    period: int = 0

    @property
    def permits(self) -> bool:
        """Whether a call may be made."""
        return self.state is State.CLOSED

    @property
    def suspected(self) -> bool:
        """Whether the last that was heard is silence: a probe should find out."""
        return self.failures > 0 or self.state is not State.CLOSED

    def suspect(self) -> None:
        """Notes that the dependency may be gone; no failure is added to others."""
        self.failures = max(self.failures, 1)

    def failed(self, period: int) -> bool:
        """Notes the failure of a call that began in ``period``; true if it opened the circuit."""
        if self.state is not State.CLOSED or period != self.period:
            return False
        self.failures += 1
        if self.failures < self.threshold:
            return False
        self.state = State.OPEN
        self.period += 1
        return True

    def answered(self) -> bool:
        """Notes an answer, whenever its call began; true if it closed the circuit."""
        self.failures = 0
        was_open = self.state is not State.CLOSED
        self.state = State.CLOSED
        return was_open

    def probe_started(self) -> None:
        """A probe is under way."""
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN

    def probe_failed(self) -> bool:
        """The probe had no answer; true if that opened the circuit."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN
        # A call may have had its answer meanwhile: then there is no suspicion that a probe could confirm.
        return self.failures > 0 and self.failed(self.period)


class Breaker:
    """Guards the calls to one dependency; enter it, and leave it to end its probing.

    ``probe`` returns when the dependency answered, whatever it said. ``is_silence`` tells the errors that
    mean "no answer" from those that are one. Silence counts when it lasted ``slow_seconds`` or longer, and
    so does a call that its caller cancelled after so long. A probe has ``probe_timeout_seconds``, and between
    two there is a wait of ``backoff``. ``on_open`` is called each time it opens.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[object]],
        *,
        is_silence: Callable[[BaseException], bool],
        threshold: int = 3,
        slow_seconds: float = 0.25,
        probe_timeout_seconds: float = 1.0,
        backoff: Backoff | None = None,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self.name: Final = name
        self._probe = probe
        self._is_silence = is_silence
        self._circuit = Circuit(threshold)
        self._slow = slow_seconds
        self._probe_timeout = probe_timeout_seconds
        self._backoff = backoff or Backoff(base=0.1, cap=1.0)
        self._on_open = on_open
        self._probing: asyncio.Task[None] | None = None
        self._opened_at = 0.0
        self._refused = BREAKER_REFUSED.labels(name)
        self._show()

    @property
    def state(self) -> State:
        """The state now."""
        return self._circuit.state

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Surrounds one call.

        Raises:
            Unavailable: at once, while the circuit is open; names the dependency.
        """
        circuit = self._circuit
        if not circuit.permits:
            self._refused.inc()
            raise unavailable(self.name, f"{self.name} does not answer")
        period = circuit.period
        started = time.monotonic()
        try:
            yield
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError) and not self._is_silence(error):
                self.answered()
            elif time.monotonic() - started >= self._slow:
                if circuit.failed(period):
                    self._opened(error)
                self._find_out()
            raise
        else:
            self.answered()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the probing."""
        if self._probing is not None:
            await end(self._probing)

    def answered(self) -> None:
        """Notes an answer. ``guard`` does it for its calls."""
        if self._circuit.answered():
            _log.info("breaker.closed", dependency=self.name, after_seconds=self._open_seconds())
            self._show()

    def suspect(self) -> None:
        """Has the probe find out what an answer meant that callers do not trust."""
        if self._circuit.permits:
            self._circuit.suspect()
            self._find_out()

    def _opened(self, error: BaseException) -> None:
        _log.warning(
            "breaker.opened",
            dependency=self.name,
            failures=self._circuit.failures,
            error=str(error) or type(error).__name__,
        )
        self._opened_at = time.monotonic()
        self._show()
        self._on_open()

    def _find_out(self) -> None:
        if self._circuit.suspected and (self._probing is None or self._probing.done()):
            self._backoff.reset()
            self._probing = asyncio.create_task(self._probe_while_suspected(), name=f"probe {self.name}")

    async def _probe_while_suspected(self) -> None:
        while self._circuit.suspected:
            self._circuit.probe_started()
            self._show()
            try:
                async with asyncio.timeout(self._probe_timeout):
                    await self._probe()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                _log.debug("breaker.probe_failed", dependency=self.name, error=str(error))
                if self._circuit.probe_failed():
                    self._opened(error)
                self._show()
                await asyncio.sleep(self._backoff.next_delay())
            else:
                self.answered()

    def _open_seconds(self) -> float:
        return round(time.monotonic() - self._opened_at, 2)

    def _show(self) -> None:
        BREAKER_STATE.labels(self.name).set(self._circuit.state.value)
