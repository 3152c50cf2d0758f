"""When so many devices are unknown that it is hardly their fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_service.delivery.brake import WINDOW_SECONDS, BrakeLimits, Brakes

MINUTE = WINDOW_SECONDS * 1000
LIMITS = BrakeLimits(share=0.2, least=10)


class Provider:
    """Answers, and what the brake said to each."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bool]] = []
        self.brakes = Brakes(LIMITS, lambda provider, on: self.changes.append((provider, on)))
        self.at_ms = 1_000_000

    def says(self, *, doubtful: bool, times: int = 1, apart_ms: int = 10) -> list[bool]:
        found = []
        for _ in range(times):
            self.at_ms += apart_ms
            found.append(self.brakes.answered("apns", self.at_ms, doubtful=doubtful))
        return found


def test_a_wrong_environment_costs_nine_devices() -> None:
    provider = Provider()
    assert provider.says(doubtful=True, times=100) == [False] * 9 + [True] * 91
    assert provider.changes == [("apns", True)]


def test_it_stays_on_while_nothing_is_taken_however_rarely_it_is_asked() -> None:
    provider = Provider()
    provider.says(doubtful=True, times=10)
    assert provider.says(doubtful=True, times=5, apart_ms=10 * MINUTE) == [True] * 5


def test_it_goes_off_when_the_settings_were_mended() -> None:
    provider = Provider()
    provider.says(doubtful=True, times=10)
    provider.at_ms += MINUTE
    assert provider.says(doubtful=False) == [False]
    assert provider.changes == [("apns", True), ("apns", False)]


@pytest.mark.parametrize("each", [6, 10])
def test_some_devices_are_unknown_where_all_is_well(each: int) -> None:
    provider = Provider()
    for _ in range(30):
        assert not any(provider.says(doubtful=True))
        assert not any(provider.says(doubtful=False, times=each))


def test_few_unknown_devices_an_hour_are_believed_however_little_else_is_sent() -> None:
    provider = Provider()
    assert not any(provider.says(doubtful=True, times=50, apart_ms=MINUTE // 5))


def test_providers_do_not_answer_for_one_another() -> None:
    provider = Provider()
    provider.says(doubtful=True, times=10)
    assert provider.brakes.answered("fcm", provider.at_ms, doubtful=True) is False


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30_000)), max_size=200))
def test_while_it_is_off_less_than_the_limit_was_believed_within_a_minute(
    answers: list[tuple[bool, int]],
) -> None:
    provider = Provider()
    believed: list[int] = []
    asked: list[int] = []
    for doubtful, apart_ms in answers:
        [on] = provider.says(doubtful=doubtful, apart_ms=apart_ms)
        asked.append(provider.at_ms)
        if doubtful and not on:
            believed.append(provider.at_ms)
            since = (provider.at_ms // 1000 - WINDOW_SECONDS + 1) * 1000
            lately = sum(at_ms >= since for at_ms in believed)
            share = lately / sum(at_ms >= since for at_ms in asked)
            assert lately < LIMITS.least or share < LIMITS.share
