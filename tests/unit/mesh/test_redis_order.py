"""Commands that were refused because their slot moves are sent again in an order."""

from mesh.redis_cluster.client import keep_order
from mesh.urls import Address

TARGET = Address("10.0.0.2", 6379)


def test_none_overtakes_an_earlier_one_of_its_slot() -> None:
    """The move ended between the refusals of 1 and 2: alone at the target, 2 could run first."""
    asking = {2: TARGET, 3: TARGET}
    keep_order({1: 7, 2: 7, 3: 8}, asking)
    assert asking == {3: TARGET}


def test_those_that_go_together_stay_together() -> None:
    asking = {1: TARGET, 2: TARGET}
    keep_order({1: 7, 2: 7, 4: 7}, asking)
    assert asking == {1: TARGET, 2: TARGET}
