import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.backoff import Backoff


class _Highest(random.Random):
    """Draws the top of every range, which shows the ceiling itself."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


def test_the_ceiling_doubles_up_to_the_cap_and_starts_over_after_a_reset() -> None:
    backoff = Backoff(base=0.5, cap=3.0, rng=_Highest())
    assert [backoff.next_delay() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_delay() == 0.5


@given(seed=st.integers(), failures=st.integers(1, 5000))
def test_every_delay_is_within_floor_and_cap(seed: int, failures: int) -> None:
    backoff = Backoff(base=0.1, cap=7.0, floor=0.05, rng=random.Random(seed))
    assert all(0.05 <= backoff.next_delay() <= 7.0 for _ in range(failures))


def test_two_clients_that_failed_together_do_not_come_back_together() -> None:
    delays = [Backoff(base=1.0, cap=1.0, rng=random.Random(seed)).next_delay() for seed in range(50)]
    assert len(set(delays)) == 50


def test_the_same_seed_gives_the_same_delays() -> None:
    first, second = (Backoff(rng=random.Random(7)) for _ in range(2))
    assert [first.next_delay() for _ in range(9)] == [second.next_delay() for _ in range(9)]


@pytest.mark.parametrize(
    "limits", [{"base": 0.0}, {"base": 2.0, "cap": 1.0}, {"factor": 0.5}, {"floor": -1.0}, {"floor": 99.0}]
)
def test_senseless_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="base"):
        Backoff(**limits)  # type: ignore[arg-type]


def test_growth_never_shrinks() -> None:
    backoff = Backoff(rng=_Highest())
    delays = [backoff.next_delay() for _ in range(30)]
    assert all(earlier <= later for earlier, later in pairwise(delays))
