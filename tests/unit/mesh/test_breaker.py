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
from tests.support.polling import eventually

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
            self._note_opening()

    @rule(ok=st.booleans())
    def probe(self, ok: bool) -> None:  # noqa: FBT001 - given by Hypothesis
        self.circuit.probe_started()
        assert (self.circuit.state is State.HALF_OPEN) is self.open
        if ok:
            assert self.circuit.answered() is self.open
            self.open, self.in_a_row = False, 0
            return
        self.in_a_row += not self.open and self.in_a_row > 0  # it confirms a suspicion, and makes none
        opens = not self.open and self.in_a_row == THRESHOLD
        assert self.circuit.probe_failed() is opens
        if opens:
            self._note_opening()

    @precondition(lambda self: self.circuit.permits)
    @rule()
    def suspect(self) -> None:
        self.circuit.suspect()
        self.in_a_row = max(self.in_a_row, 1)

    def _note_opening(self) -> None:
        self.open, self.in_a_row = True, 0
        self.openings += 1
        self.calls = [(began, True) for began, _ in self.calls]

    @invariant()
    def permits_exactly_while_closed(self) -> None:
        assert self.circuit.permits is not self.open
        assert self.circuit.period == self.openings
        assert self.circuit.suspected is (self.open or self.in_a_row > 0)


TestCircuit = CircuitMachine.TestCase


class Dependency:
    """Hangs until it is awake. Its probe hangs too, unless it answers those alone."""

    def __init__(self, *, answers_probes: bool = False) -> None:
        self.awake = asyncio.Event()
        self.probes = 0
        self._answers_probes = answers_probes

    async def call(self, timeout: float) -> None:  # noqa: ASYNC109 - as a client library has it
        async with asyncio.timeout(timeout):
            await self.awake.wait()

    async def probe(self) -> None:
        self.probes += 1
        if not self._answers_probes:
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


async def _open(breaker: Breaker, dependency: Dependency) -> None:
    """One call waits; probes do the rest."""
    await _hang(breaker, dependency)
    await eventually(lambda: not _is(breaker, State.CLOSED))


async def test_one_silence_and_unanswered_probes_open_it_and_an_answered_probe_closes_it() -> None:
    dependency = Dependency()
    opened: list[str] = []
    with capture_logs() as logs:
        async with _breaker(dependency, lambda: opened.append("once")) as breaker:
            await _open(breaker, dependency)
            assert dependency.probes == THRESHOLD - 1
            assert _metric() in {State.OPEN.value, State.HALF_OPEN.value}
            with pytest.raises(Unavailable) as refused, breaker.guard():
                raise AssertionError("the call must not be made")
            assert refused.value.dependency == "thing"
            await eventually(
                lambda: dependency.probes > THRESHOLD + 1
            )  # each is given up, and the next one made
            dependency.awake.set()
            await eventually(lambda: _is(breaker, State.CLOSED))
            with breaker.guard():
                await dependency.call(0.03)
            assert _metric() == State.CLOSED.value
    assert opened == ["once"]
    told = [line["event"] for line in logs if line["log_level"] != "debug"]
    assert told == ["breaker.opened", "breaker.closed"]


async def test_many_silent_calls_open_it_without_waiting_for_probes() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:
        await asyncio.gather(*(_hang(breaker, dependency) for _ in range(THRESHOLD)))
        assert not _is(breaker, State.CLOSED)


async def test_what_answers_its_probe_is_not_refused() -> None:
    dependency = Dependency(answers_probes=True)
    async with _breaker(dependency) as breaker:
        for _ in range(3 * THRESHOLD):
            await _hang(breaker, dependency)
            assert _is(breaker, State.CLOSED)
        assert dependency.probes > 0


async def test_it_opens_again_and_again() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:
        for _ in range(5):
            await _open(breaker, dependency)
            dependency.awake.set()
            await eventually(lambda: _is(breaker, State.CLOSED))
            dependency.awake.clear()


async def test_a_probe_that_its_library_cancels_is_one_without_an_answer() -> None:
    """aiormq and gRPC do so when a connection or a channel is closed."""
    dependency = Dependency()

    async def cancelled() -> None:
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    async with _breaker(dependency) as breaker:
        breaker._probe = cancelled
        await _open(breaker, dependency)
        breaker._probe = dependency.probe
        dependency.awake.set()
        await eventually(lambda: _is(breaker, State.CLOSED))


async def test_an_error_that_the_dependency_answers_is_an_answer() -> None:
    async with _breaker(Dependency()) as breaker:

        async def refuse() -> None:
            with breaker.guard():
                await asyncio.sleep(0.03)
                raise KeyError("no such thing")

        for _ in range(2 * THRESHOLD):
            with pytest.raises(KeyError):
                await refuse()
        assert _is(breaker, State.CLOSED)


async def test_a_failure_that_came_at_once_made_nobody_wait() -> None:
    async with _breaker(Dependency()) as breaker:
        for _ in range(10 * THRESHOLD):
            with pytest.raises(OSError, match="refused"), breaker.guard():
                raise OSError("refused")
        assert _is(breaker, State.CLOSED)


async def test_a_suspicion_costs_no_call_and_opens_it_only_if_the_probe_agrees() -> None:
    dependency = Dependency(answers_probes=True)
    async with _breaker(dependency) as breaker:
        breaker.suspect()
        await eventually(lambda: dependency.probes == 1)
        assert _is(breaker, State.CLOSED)
    dependency = Dependency()
    async with _breaker(dependency) as breaker:
        breaker.suspect()
        await eventually(lambda: not _is(breaker, State.CLOSED))
        assert dependency.probes == THRESHOLD - 1


async def test_calls_that_their_callers_gave_up_count() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:

        async def call() -> None:
            with breaker.guard():
                await dependency.awake.wait()

        gave_up = await asyncio.gather(
            *(asyncio.wait_for(call(), 0.03) for _ in range(THRESHOLD)), return_exceptions=True
        )
        assert all(isinstance(error, TimeoutError) for error in gave_up)
        assert not _is(breaker, State.CLOSED)


async def test_an_answer_to_a_call_that_still_waits_closes_it() -> None:
    dependency = Dependency()
    async with _breaker(dependency) as breaker:

        async def patient() -> None:
            with breaker.guard():
                await dependency.call(5)

        waiting = asyncio.create_task(patient())
        await asyncio.sleep(0)
        await _open(breaker, dependency)
        assert not _is(breaker, State.CLOSED)
        dependency.awake.set()
        await waiting
        assert _is(breaker, State.CLOSED)
