"""Budgets and close codes."""

import pytest

from edge.protocol.close_codes import CloseCode
from edge.protocol.wire import check_close_payload, close_frame
from edge.rate_limit import FrameBudget, Verdict


def test_a_budget_refuses_then_recovers_then_calls_it_a_flood() -> None:
    budget = FrameBudget(per_second=10, burst=3)
    assert [budget.take(100.0) for _ in range(4)] == [Verdict.ALLOWED] * 3 + [Verdict.LIMITED]
    wait = budget.retry_after_ms / 1000
    assert 0.1 < wait < 0.3
    assert budget.take(100.0 + wait) is Verdict.ALLOWED
    assert [budget.take(100.0 + wait) for _ in range(4)][-1] is Verdict.FLOOD


def test_a_budget_never_holds_more_than_its_burst() -> None:
    budget = FrameBudget(per_second=10, burst=3)
    assert [budget.take(1e6) for _ in range(4)][-1] is Verdict.LIMITED


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_may_be_sent(code: CloseCode) -> None:
    frame = close_frame(code)
    assert len(frame) <= 2 + 125
    check_close_payload(frame[2:])
    assert frame[2:4] == int(code).to_bytes(2)
