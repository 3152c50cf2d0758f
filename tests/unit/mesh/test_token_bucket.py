"""Token buckets whose refusals queue."""

import pytest

from mesh.token_bucket import MOST_WAIT_SECONDS, TokenBucket, hint_ms


def test_a_bucket_gives_its_burst_and_then_says_when() -> None:
    bucket = TokenBucket(per_second=10, burst=3)
    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.1) == 0


def test_those_refused_at_once_are_told_different_times() -> None:
    bucket = TokenBucket(per_second=10, burst=3)
    waits = [bucket.take(100.0) for _ in range(8)]
    assert waits == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket(per_second=10, burst=3)
    for _ in range(3 + 200):
        bucket.take(100.0)
    assert [bucket.take(100.3) == 0 for _ in range(4)] == [True, True, True, False]


def test_who_does_not_come_back_costs_the_others_no_token() -> None:
    bucket = TokenBucket(per_second=10, burst=3)
    for _ in range(3 + 20):
        bucket.take(100.0)
    assert [bucket.take(102.5) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_what_is_dearer_than_the_bucket_is_granted_by_a_full_one_and_paid_off() -> None:
    bucket = TokenBucket(per_second=10, burst=5)
    assert bucket.take(100.0, price=25) == 0
    wait = bucket.take(100.0)
    assert wait == pytest.approx(2.1)
    assert bucket.take(100.0 + wait) == 0
    dear = TokenBucket(per_second=10, burst=5)
    dear.take(100.0)
    assert dear.take(100.0, price=25) == pytest.approx(0.1)
    assert dear.take(100.1, price=25) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(per_second=10, burst=1)
    assert bucket.take(100.0) == 0
    assert bucket.take(50.0) > 0


def test_hints_are_whole_never_too_early_and_bounded() -> None:
    assert [hint_ms(seconds) for seconds in (0.0, 0.0001, 0.02, 1.5)] == [0, 1, 20, 1_500]
    drawn = {hint_ms(3_600) for _ in range(50)}
    assert len(drawn) > 40
    assert all(MOST_WAIT_SECONDS * 500 <= hint <= MOST_WAIT_SECONDS * 1_000 for hint in drawn)
