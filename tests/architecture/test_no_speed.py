"""No test asserts how fast its machine is: it fails where others work beside it. Times live in `bench/`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
#: Seconds. A wait that something must end may be given up after so long: that hangs on any machine.
GUARD = 30

_CLOCKS = {"time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns", "process_time"}

#: File and function that may, and why.
EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "unit/mesh/test_breaker.py",
        "test_calls_that_their_callers_gave_up_count",
    ): "the callers give up, by design",
}


def _reads_a_clock(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in _CLOCKS
        case ast.BinOp(left=left, right=right):
            return _reads_a_clock(left) or _reads_a_clock(right)
    return False


class _Times:
    """What the names of a function hold: readings of a clock, and differences of those."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        assigned = [
            (target.id, node.value)
            for node in nodes
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        self._lengths: set[str] = set()
        self._readings = {name for name, value in assigned if _reads_a_clock(value)}
        self._lengths |= {name for name, value in assigned if self.is_length(value)}

    def is_length(self, node: ast.expr) -> bool:
        """It is the difference of a reading and something, or a name or the size of such a one."""
        match node:
            case ast.Name(id=name):
                return name in self._lengths
            case ast.Call(func=ast.Name(id="abs" | "max" | "round"), args=arguments):
                return any(map(self.is_length, arguments))
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._is_reading(left) or self._is_reading(right)
        return False

    def _is_reading(self, node: ast.expr) -> bool:
        return _reads_a_clock(node) or (isinstance(node, ast.Name) and node.id in self._readings)


def _upper_bounds(nodes: list[ast.AST]) -> Iterator[int]:
    """Lines that compare a length of time with what it must stay under."""
    times = _Times(nodes)
    for node in nodes:
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for smaller, operator, larger in zip(sides, node.ops, sides[1:], strict=False):
                if isinstance(operator, ast.Gt | ast.GtE):
                    smaller, larger = larger, smaller  # noqa: PLW2901 - the two sides, put in order
                elif not isinstance(operator, ast.Lt | ast.LtE):
                    continue
                if times.is_length(smaller) and not times.is_length(larger):
                    yield node.lineno


def _short_guards(nodes: list[ast.AST]) -> Iterator[int]:
    """Lines that give up a wait early, unless the test wants to see it given up."""
    wanted = {
        id(inside)
        for block in nodes
        if isinstance(block, ast.With | ast.AsyncWith)
        and any("TimeoutError" in ast.dump(item.context_expr) for item in block.items)
        for inside in ast.walk(block)
    }
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="asyncio"), attr="timeout" | "wait_for")):
                limit = node.args[-1] if node.args else node.keywords[-1].value
                seconds = limit.value if isinstance(limit, ast.Constant) else None
                if isinstance(seconds, int | float) and seconds < GUARD and id(node) not in wanted:
                    yield node.lineno


def _found(source: str) -> Iterator[tuple[str, int]]:
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes = list(ast.walk(function))
            for line in {*_upper_bounds(nodes), *_short_guards(nodes)}:
                yield function.name, line


def test_no_test_asserts_how_fast_its_machine_is() -> None:
    found = {
        (str(path.relative_to(TESTS)), name): line
        for path in sorted(TESTS.rglob("*.py"))
        for name, line in _found(path.read_text())
    }
    for exception in EXCEPTIONS:
        assert found.pop(exception, None), f"{exception} is no exception any more"
    assert not found, f"count commands, bytes or events, or wait for {GUARD} s and more: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - started < 1",
        "assert 0.29 < loop.time() - started < 1",
        "assert 1 >= time.perf_counter() - started",
        "assert abs(expires - time.time()) < 0.3",
        "took = time.monotonic() - started; assert took < LIMIT",
        "started = time.monotonic(); assert push.at - started < SOON",
        "await asyncio.wait_for(ended.wait(), 5)",
        "async with asyncio.timeout(5): await ended.wait()",
    ],
)
def test_the_rule_sees_an_upper_bound(line: str) -> None:
    assert list(_found(f"async def test():\n  {line}"))


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - started >= 0.3",
        "assert 0.04 < time.monotonic() - started",
        "took = time.monotonic() - started; assert let_in <= 10 + 10 * took",
        "assert time.monotonic() < deadline",
        "await asyncio.wait_for(ended.wait(), 30)",
        "with pytest.raises(TimeoutError): await asyncio.wait_for(call, 0.2)",
        "(told,) = await bob.wait_for('new-message', 2)",
    ],
)
def test_the_rule_lets_through_what_is_none(line: str) -> None:
    assert not list(_found(f"async def test():\n  {line}"))
