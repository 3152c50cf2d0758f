"""When a delivery is tried again: ever later, never too late, and as its provider wishes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_service.delivery.retry import ceiling_seconds, next_attempt

FAR = 10**15


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 512), (10, 600), (11, 600), (100_000, 600)]
)
def test_the_longest_wait_doubles_up_to_ten_minutes(attempt: int, seconds: float) -> None:
    assert ceiling_seconds(attempt) == seconds


@pytest.mark.parametrize(
    ("attempt", "chance", "wish", "waited_ms"),
    [
        (1, 0.0, None, 500),
        (1, 1.0, None, 2000),
        (3, 0.5, None, 4250),
        (20, 1.0, None, 600_000),
        (1, 0.0, 30.0, 30_500),
        (1, 1.0, 30.0, 32_000),
        (1, 0.0, 86_400.0, 3_600_500),
        (1, 0.0, 0.0, 500),
        (1, 0.0, -5.0, 500),
        (1, 0.0, math.inf, 3_600_500),
        (1, 0.0, math.nan, 500),
    ],
)
def test_the_wait_is_drawn_and_the_providers_wish_comes_on_top(
    attempt: int, chance: float, wish: float | None, waited_ms: int
) -> None:
    assert next_attempt(attempt, 1_000, FAR, wish, chance) == 1_000 + waited_ms


def test_no_attempt_is_planned_for_when_the_time_is_over() -> None:
    assert next_attempt(1, 0, 501, None, 0.0) == 500
    assert next_attempt(1, 0, 500, None, 0.0) is None
    assert next_attempt(1, 0, 60_000, 120.0, 0.0) is None


@given(
    attempt=st.integers(1, 10_000),
    now_ms=st.integers(0, 2**43),
    life_ms=st.integers(-(10**6), 10**9),
    wish=st.none() | st.floats(),
    chance=st.floats(0, 1),
)
def test_it_is_always_later_and_in_time(
    attempt: int, now_ms: int, life_ms: int, wish: float | None, chance: float
) -> None:
    at_ms = next_attempt(attempt, now_ms, now_ms + life_ms, wish, chance)
    if at_ms is not None:
        assert now_ms + 500 <= at_ms < now_ms + life_ms
        assert at_ms <= now_ms + 4_200_000
