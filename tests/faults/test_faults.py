"""Each fault once, under load: what was acked is stored, once, in order, and everyone has it in the end.

All promises of `chaos.checker` are asserted by `endure`; a test adds what is particular to its fault.
"""

import pytest

from chaos.faults import Injector
from chaos.records import CaughtUp, Dropped, Journal, Saw
from chaos.schedule import Fault, Kind
from tests.faults.conftest import Endure, Lived, Setting

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(150)]


def assert_came_back(lived: Lived) -> None:
    """It did, for `endure` waited for an ack of what was sent after the fault; how soon, its table tells."""
    outcome = lived.outcome
    assert len(outcome.recoveries) == 1
    # What was accepted, and given up on a refusal to its repeat, is stored all the same.
    given_up = sum(1 for _ in outcome.evidence.of(Dropped))
    assert outcome.figures.acked <= outcome.figures.stored <= outcome.figures.acked + given_up
    assert outcome.figures.duplicated == 0


async def test_persist_service_killed(endure: Endure) -> None:
    lived = await endure(Kind.KILL, "persist", 1.5, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0  # the queue holds what the store cannot take


async def test_chat_service_killed(endure: Endure) -> None:
    assert_came_back(await endure(Kind.KILL, "chat", 1.0))


async def test_an_edge_killed(endure: Endure) -> None:
    lived = await endure(Kind.KILL, "edge-a", 1.5, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0  # on the other edge


async def test_notify_service_killed(endure: Endure) -> None:
    lived = await endure(Kind.KILL, "notify", 1.0, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0


async def test_redis_restarted_with_its_file(endure: Endure) -> None:
    lived = await endure(Kind.KILL, "redis", 1.0)
    assert_came_back(lived)
    assert {saw.epoch for saw in lived.outcome.evidence.of(Saw) if saw.epoch} == {1}


async def test_redis_data_lost(endure: Endure) -> None:
    lived = await endure(Kind.LOSE, "redis", 0.5)
    assert_came_back(lived)
    lives: dict[str, set[int]] = {}
    for saw in lived.outcome.evidence.of(Saw):
        if saw.epoch:
            lives.setdefault(saw.chat_id, set()).add(saw.epoch)
    # One new life for each log. Two that ask for it at once get numbers of their own, and one of them counts.
    assert max(map(len, lives.values())) == 2
    assert 1 in set.union(*lives.values())


async def test_rabbitmq_killed(endure: Endure) -> None:
    assert_came_back(await endure(Kind.KILL, "rabbitmq", 0.5))


async def test_mongodb_killed(endure: Endure) -> None:
    lived = await endure(Kind.KILL, "mongo", 1.0, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0


async def test_a_chat_service_that_hangs(endure: Endure) -> None:
    assert_came_back(await endure(Kind.PAUSE, "chat", 2.0))


async def test_connections_to_the_broker_reset(endure: Endure) -> None:
    assert_came_back(await endure(Kind.RESET, "chat>rabbitmq", 0.0))


async def test_a_slow_way_to_redis(endure: Endure) -> None:
    lived = await endure(Kind.DELAY, "chat>redis", 2.0, 100, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0


async def test_an_edge_that_loses_its_subscription(endure: Endure) -> None:
    lived = await endure(Kind.REFUSE, "edge-b>redis", 1.0)
    assert_came_back(lived)
    assert any(record.why == "resync" for record in lived.outcome.evidence.of(CaughtUp))


async def test_redis_with_a_full_disk(endure: Endure) -> None:
    lived = await endure(Kind.FILL, "redis", 2.0)
    assert lived.acked_meanwhile == 0  # it takes nothing, so nothing is promised
    assert_came_back(lived)
    assert {saw.epoch for saw in lived.outcome.evidence.of(Saw) if saw.epoch} == {1}


async def test_rabbitmq_with_a_full_disk(endure: Endure) -> None:
    assert_came_back(await endure(Kind.FILL, "rabbitmq", 2.0))


async def test_mongodb_with_a_full_disk(endure: Endure) -> None:
    lived = await endure(Kind.FILL, "mongo", 2.0, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0  # the queue holds what the store cannot take


async def test_a_chat_service_whose_clock_is_behind_but_within_the_leeway(endure: Endure) -> None:
    lived = await endure(Kind.SKEW, "chat", 3.0, -8, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0  # its times are wrong, its order is not
    assert not list(lived.outcome.evidence.of(Dropped))


async def test_a_chat_service_whose_clock_is_minutes_ahead(endure: Endure) -> None:
    lived = await endure(Kind.SKEW, "chat", 3.0, 300)
    assert_came_back(lived)
    assert lived.acked_meanwhile == 0  # nobody believes its tokens, and it nobody's
    assert not list(
        lived.outcome.evidence.of(Dropped)
    )  # clients are told that it is down, not that they are refused


async def test_an_edge_whose_clock_is_minutes_behind(endure: Endure) -> None:
    lived = await endure(Kind.SKEW, "edge-a", 3.0, -300, sends_go_on=True)
    assert_came_back(lived)
    assert lived.acked_meanwhile > 0  # on the other edge


async def test_what_cannot_happen_to_a_target_is_refused(setting: Setting) -> None:
    with Journal(setting.folder / "refused.jsonl") as journal:
        injector = Injector(setting.mesh, setting.links, journal, print)
        for kind, target in (
            (Kind.LOSE, "mongo"),
            (Kind.CUT, "redis"),
            (Kind.KILL, "chat>redis"),
            (Kind.FILL, "chat"),
            (Kind.SKEW, "redis"),
        ):
            with pytest.raises(ValueError, match=f"{kind} is nothing that happens to"):
                await injector.inject(Fault(1, 0, kind, target, 0))
        with pytest.raises(KeyError):
            await injector.inject(Fault(1, 0, Kind.KILL, "nothing", 0))
