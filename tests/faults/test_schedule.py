"""The schedule: a seed repeats it, and it holds everything that is to be tried."""

import itertools
from collections import Counter

import pytest

from chaos.mesh import LINKS
from chaos.schedule import FIRST_AT, Kind, plan

SEEDS = range(50)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_repeats_its_schedule_whatever_the_order_of_links(seed: int) -> None:
    assert plan(seed, 120, LINKS) == plan(seed, 120, tuple(reversed(LINKS)))


def test_seeds_differ() -> None:
    assert len({plan(seed, 120, LINKS) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_longer_run_begins_as_a_shorter_one(seed: int) -> None:
    short, long = plan(seed, 60, LINKS), plan(seed, 300, LINKS)
    assert long[: len(short)] == short
    assert len(long) > len(short) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_stay_in_their_time_and_no_target_is_hit_while_it_is_down(seed: int) -> None:
    schedule = plan(seed, 300, LINKS)
    assert schedule[0].at >= FIRST_AT
    assert all(fault.at + fault.seconds <= 300 for fault in schedule)
    assert [fault.number for fault in schedule] == list(range(1, len(schedule) + 1))
    for one, other in itertools.combinations(schedule, 2):
        if one.target == other.target:
            assert other.at >= one.at + one.seconds, (one, other)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_redis_stands_alone(seed: int) -> None:
    schedule = plan(seed, 600, LINKS)
    for lost in (fault for fault in schedule if fault.kind is Kind.LOSE):
        for other in schedule:
            assert other is lost or other.at >= lost.at + lost.seconds or other.at + other.seconds <= lost.at


def test_in_ten_minutes_everything_breaks_in_every_way() -> None:
    counts = Counter((fault.kind, fault.target) for fault in plan(7, 600, LINKS))
    kinds = {kind for kind, _ in counts}
    assert kinds == set(Kind)
    killed = {target for kind, target in counts if kind is Kind.KILL}
    assert killed == {"edge-a", "edge-b", "chat", "persist", "notify", "redis", "rabbitmq", "mongo"}
    assert counts[Kind.LOSE, "redis"]


def test_links_are_those_of_the_architecture() -> None:
    assert {"edge-a>chat", "chat>persist", "chat>redis", "persist>mongo", "clients>edge-b"} < set(LINKS)
    assert not any(link.startswith("edge") and link.endswith("mongo") for link in LINKS)


def test_every_fault_names_what_it_does() -> None:
    texts = [str(fault) for fault in plan(7, 600, LINKS)]
    assert any(text.startswith("delay ") and " by " in text and " ms" in text for text in texts)
    assert "lose redis" in " ".join(texts)
