"""Budgets and close codes."""

import pytest

from edge.protocol.close_codes import CloseCode
from edge.protocol.wire import check_close_payload, close_frame
from edge.rate_limit import FrameBudget, Verdict


def test_a_budget_refuses_then_recovers_then_calls_it_a_flood() -> None:
    budget = FrameBudget(per_second=10, burst=3)
    assert [budget.take(100.0) for _ in range(4)] == [Verdict.ALLOWED] * 3 + [Verdict.LIMITED]
    assert budget.retry_after_ms == 100
    assert budget.take(100.1) is Verdict.ALLOWED
    assert [budget.take(100.1) for _ in range(4)] == [Verdict.LIMITED] * 3 + [Verdict.FLOOD]


def test_refused_frames_take_nothing_from_those_to_come() -> None:
    budget = FrameBudget(per_second=10, burst=3)
    for _ in range(6):
        budget.take(100.0)
    assert [budget.take(100.3) for _ in range(4)] == [Verdict.ALLOWED] * 3 + [Verdict.LIMITED]


def test_a_large_frame_costs_as_much_as_several() -> None:
    budget = FrameBudget(per_second=10, burst=10)
    verdicts = [budget.take(100.0, price=4) for _ in range(3)]
    assert verdicts == [Verdict.ALLOWED, Verdict.ALLOWED, Verdict.LIMITED]
    assert budget.retry_after_ms in {200, 201}  # 0.2 s, rounded up


def test_a_budget_never_holds_more_than_its_burst() -> None:
    budget = FrameBudget(per_second=10, burst=3)
    assert [budget.take(1e6) for _ in range(4)][-1] is Verdict.LIMITED


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_may_be_sent(code: CloseCode) -> None:
    frame = close_frame(code)
    assert len(frame) <= 2 + 125
    check_close_payload(frame[2:])
    assert frame[2:4] == int(code).to_bytes(2)
