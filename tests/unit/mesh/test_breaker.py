import asyncio
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mesh.backoff import Backoff
from mesh.breaker import Breaker, Circuit, State
from mesh.errors import Unavailable

THRESHOLD = 3


class CircuitMachine(RuleBasedStateMachine):
    """Calls overlap, probes come and go; the circuit must do what a list of results says."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(THRESHOLD)
        self.calls: list[tuple[int, bool]] = []  # (period it began in, began before the last opening)
        self.in_a_row = 0
        self.open = False
        self.openings = 0

    @precondition(lambda self: self.circuit.permits)
    @rule()
    def begin_call(self) -> None:
        self.calls.append((self.circuit.period, False))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), ok=st.booleans())
    def end_call(self, data: st.DataObject, ok: bool) -> None:  # noqa: FBT001 - given by Hypothesis
        period, outdated = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        if ok:
            assert self.circuit.answered() is self.open
            self.open, self.in_a_row = False, 0
            return
        opened = self.circuit.failed(period)
        counts = not outdated and not self.open
        self.in_a_row += counts
        assert opened is (counts and self.in_a_row == THRESHOLD)
        if opened:
            self.open, self.in_a_row = True, 0
            self.openings += 1
            self.calls = [(began, True) for began, _ in self.calls]

    @rule(ok=st.booleans())
    def probe(self, ok: bool) -> None:  # noqa: FBT001 - given by Hypothesis
        self.circuit.probe_started()
        assert (self.circuit.state is State.HALF_OPEN) is self.open
        if ok:
            assert self.circuit.answered() is self.open
            self.open, self.in_a_row = False, 0
        else:
            self.circuit.probe_failed()

    @invariant()
    def permits_exactly_while_closed(self) -> None:
        assert self.circuit.permits is not self.open
        assert self.circuit.period == self.openings


TestCircuit = CircuitMachine.TestCase


class Dependency:
    """Answers, or hangs, or fails at once."""

    def __init__(self) -> None:
        self.awake = asyncio.Event()
        self.probes = 0

    async def call(self, timeout: float) -> None:  # noqa: ASYNC109 - as a client library has it
        async with asyncio.timeout(timeout):
            await self.awake.wait()

    async def probe(self) -> None:
        self.probes += 1
        await self.awake.wait()


def _breaker(dependency: Dependency, on_open: Callable[[], None] = lambda: None) -> Breaker:
    return Breaker(
        "thing",
        dependency.probe,
        is_silence=lambda error: isinstance(error, OSError | TimeoutError),
        threshold=THRESHOLD,
        slow_seconds=0.02,
        probe_timeout_seconds=0.05,
        backoff=Backoff(base=0.01, cap=0.02),
        on_open=on_open,
    )


def _is(breaker: Breaker, state: State) -> bool:
    return breaker.state is state


async def _hang(breaker: Breaker, dependency: Dependency) -> None:
    with pytest.raises(TimeoutError), breaker.guard():
        await dependency.call(0.03)


def _metric() -> float | None:
    return REGISTRY.get_sample_value("parley_breaker_state", {"dependency": "thing"})


async def test_it_opens_after_silences_in_a_row_and_closes_by_its_own_probe() -> None:
    dependency = Dependency()
    opened: list[str] = []
    with capture_logs() as logs:
        async with _breaker(dependency, lambda: opened.append("once")) as breaker:
            for _ in range(THRESHOLD):
                assert _is(breaker, State.CLOSED)
                await _hang(breaker, dependency)
            assert _is(breaker, State.OPEN)
            assert _metric() == State.OPEN.value
            with pytest.raises(Unavailable) as refused, breaker.guard():
                raise AssertionError("the call must not be made")
            assert refused.value.dependency == "thing"
            async with asyncio.timeout(5):
                while dependency.probes < 3:  # each is given up, and the next one made
                    await asyncio.sleep(0)
            dependency.awake.set()
            async with asyncio.timeout(5):
                while not _is(breaker, State.CLOSED):
                    await asyncio.sleep(0)
            with breaker.guard():
                await dependency.call(0.03)
            assert _metric() == State.CLOSED.value
    assert opened == ["once"]
    told = [line["event"] for line in logs if line["log_level"] != "debug"]
    assert told == ["breaker.opened", "breaker.closed"]


async def test_an_answer_in_between_starts_the_count_anew() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:
        for _ in range(5):
            for _ in range(THRESHOLD - 1):
                await _hang(breaker, dependency)
            with pytest.raises(KeyError), breaker.guard():
                raise KeyError("an error that the dependency answered with")
        assert _is(breaker, State.CLOSED)


async def test_a_failure_that_came_at_once_made_nobody_wait() -> None:
    async with _breaker(Dependency()) as breaker:
        for _ in range(10 * THRESHOLD):
            with pytest.raises(OSError, match="refused"), breaker.guard():
                raise OSError("refused")
        assert _is(breaker, State.CLOSED)


async def test_calls_that_their_callers_gave_up_count() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:

        async def call() -> None:
            with breaker.guard():
                await dependency.awake.wait()

        for _ in range(THRESHOLD):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call(), 0.03)
        assert _is(breaker, State.OPEN)


async def test_an_answer_to_a_call_that_still_waits_closes_it() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:

        async def patient() -> None:
            with breaker.guard():
                await dependency.call(5)

        waiting = asyncio.create_task(patient())
        await asyncio.sleep(0)
        for _ in range(THRESHOLD):
            await _hang(breaker, dependency)
        assert not _is(breaker, State.CLOSED)
        dependency.awake.set()
        await waiting
        assert _is(breaker, State.CLOSED)
