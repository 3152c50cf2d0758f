"""Budgets and close codes."""

import tracemalloc

import pytest
from pydantic import ValidationError

from edge.settings import EdgeSettings
from edge.websocket.framing import FrameReader, check_close_payload, close_frame
from edge.websocket.rate_limit import FrameBudget, Verdict
from parley.edge.v1.close_codes import CloseCode


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


def test_a_burst_must_pay_for_two_of_the_largest_messages() -> None:
    with pytest.raises(ValidationError, match="twice PARLEY_EDGE_MAX_FRAME_BYTES"):
        EdgeSettings.model_validate({"edge_max_frame_bytes": 1 << 20, "edge_bytes_burst": 1 << 20})


def test_a_fragment_takes_no_memory_but_for_its_payload() -> None:
    reader = FrameReader(1 << 20)
    empty = bytes((0x00, 0x80, 0, 0, 0, 0))
    reader.feed(bytes((0x01, 0x80, 0, 0, 0, 0)))
    assert reader.next() is None
    tracemalloc.start()
    try:
        for _ in range(1000):
            reader.feed(empty * 100)
            assert reader.next() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.frames == 100_001
    assert peak < 16 * 1024


def test_a_message_that_comes_byte_by_byte_is_not_copied_for_each_byte() -> None:
    size = 1 << 16
    head = bytes((0x81, 0x80 | 127)) + size.to_bytes(8) + bytes(4)
    reader = FrameReader(1 << 20)
    reader.feed(head)
    assert reader.next() is None
    moved, place = 0, 0
    for _ in range(size):
        reader.feed(b"x")
        if (now := id(reader._buffer)) != place:
            moved, place = moved + 1, now
        message = reader.next()
    assert message is not None
    assert message.payload == b"x" * size
    assert moved < 5
