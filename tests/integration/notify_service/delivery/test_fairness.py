"""The engine between providers: none holds up another, each is asked as it wishes, outages lose nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from prometheus_client import REGISTRY

from mesh.breaker import State
from notify_service.delivery.provider_limiter import Limits
from notify_service.domain.delivery import AttemptOutcome, Delivery
from notify_service.ports import SendDelayedError
from tests.integration.notify_service.delivery.deliveries import (
    LIMITS,
    PACE,
    Clock,
    RecordingHandler,
    StandingClock,
    engine,
    new_deliveries,
    settled,
    store_at,
)
from tests.support.polling import eventually

BREAKER = "parley_provider_breaker_state"


async def test_a_provider_that_is_down_for_an_hour_loses_none(mongo_url: str) -> None:
    clock, down = Clock(), True

    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        if down:
            raise SendDelayedError("503 Service Unavailable")
        return ""

    handler, started = RecordingHandler(provider), clock()
    async with store_at(mongo_url) as (store, mongo), engine(store, handler, clock=clock) as deliver:
        for _ in range(12):
            await deliver.add(new_deliveries(10, "fcm", clock=clock))
            before = len(handler.concluded)
            clock.advance(300)
            await handler.until_concluded(before + 1)
        asked = handler.tried.total()
        assert asked < 120 + 24, "the breaker spares a provider that is down"
        assert clock() - started >= 3_600_000
        assert REGISTRY.get_sample_value(BREAKER, {"provider": "fcm"}) == State.OPEN.value
        down = False
        clock.advance(600)
        await settled(mongo, 120)
        assert REGISTRY.get_sample_value(BREAKER, {"provider": "fcm"}) is None
        assert len(handler.ended(AttemptOutcome.SENT)) == 120
        assert set(handler.sent.values()) == {1}
        assert not handler.ended(AttemptOutcome.FAILED)


async def test_providers_that_hang_hold_up_nobody_else(mongo_url: str) -> None:
    async def provider(delivery: Delivery) -> str:
        if "bad" in delivery.what.provider:
            await asyncio.Event().wait()
        return ""

    handler, limits = RecordingHandler(provider), replace(LIMITS, named={"fcm"})
    async with (
        store_at(mongo_url) as (store, _),
        engine(store, handler, limits=limits, pace=replace(PACE, send_seconds=30.0)) as deliver,
    ):
        # Far more hosts than there are slots to share; by name they come before the good one.
        bad = [new for host in range(60) for new in new_deliveries(3, f"bad:{host:02}")]
        await deliver.add(bad)
        await eventually(lambda: sum(handler.under_way.values()) == LIMITS.shared)
        await deliver.add(new_deliveries(100, "fcm"))
        await eventually(lambda: handler.sent.total() == 100)
        assert sum(handler.under_way.values()) == LIMITS.shared
        assert max(count for name, count in handler.most_under_way.items() if "bad" in name) <= (
            LIMITS.unearned
        )


async def test_hosts_that_answer_once_and_then_hang_hold_up_nobody_else(mongo_url: str) -> None:
    """Together they would have room for all attempts of the process, if one answer were enough."""
    hanging = False

    async def provider(delivery: Delivery) -> str:
        if hanging and "bad" in delivery.what.provider:
            await asyncio.Event().wait()
        return ""

    handler = RecordingHandler(provider)
    # The good one is named by nobody either.
    limits = replace(LIMITS, answers_per_slot=1, total=256)
    bad = [f"bad:{host:02}" for host in range(64)]
    async with (
        store_at(mongo_url) as (store, _),
        engine(store, handler, limits=limits, pace=replace(PACE, send_seconds=30.0)) as deliver,
    ):
        good = new_deliveries(2 * limits.concurrency, "good")
        await deliver.add([*good, *(new for host in bad for new in new_deliveries(1, host))])
        await eventually(lambda: handler.sent.total() == len(good) + len(bad))
        hanging = True
        for host in bad:
            await deliver.add(new_deliveries(limits.concurrency, host))
        # One slot of its own for the one answer; the others share.
        await eventually(lambda: sum(handler.under_way.values()) == len(bad) + limits.shared)
        await deliver.add(new_deliveries(100, "good"))
        await handler.until_sent(len(good) + len(bad) + 100)
        assert sum(handler.under_way.values()) == len(bad) + limits.shared


async def test_a_wish_to_wait_is_honoured_for_the_provider_as_a_whole(mongo_url: str) -> None:
    clock, busy = Clock(), True

    async def provider(delivery: Delivery) -> str:
        if busy and delivery.what.provider == "fcm":
            raise SendDelayedError("429 Too Many Requests", retry_after_seconds=120)
        return ""

    handler = RecordingHandler(provider)
    async with store_at(mongo_url) as (store, mongo), engine(store, handler, clock=clock) as deliver:
        await deliver.add(new_deliveries(1, "fcm", clock=clock))
        await eventually(lambda: handler.concluded)
        [attempt] = handler.concluded
        assert 120_000 < attempt.next_at_ms - attempt.at_ms <= 122_000
        busy = False
        await deliver.add(new_deliveries(5, "fcm", clock=clock) + new_deliveries(5, "apns", clock=clock))
        await eventually(lambda: handler.sent.total() == 5)
        clock.advance(110)
        await deliver.add(new_deliveries(1, "apns", clock=clock))
        await eventually(lambda: handler.sent.total() == 6)
        clock.advance(15)
        await settled(mongo, 12)
        assert handler.tried.total() == 13


async def test_the_rate_and_the_slots_of_a_provider_are_kept(mongo_url: str) -> None:
    async def provider(delivery: Delivery) -> str:  # noqa: ARG001
        await asyncio.sleep(0.002)
        return ""

    handler, clock = RecordingHandler(provider), StandingClock()
    limits = Limits(concurrency=3, rate=20.0)
    async with (
        store_at(mongo_url) as (store, mongo),
        engine(store, handler, clock=clock, limits=limits) as deliver,
    ):
        await deliver.add(new_deliveries(50, clock=clock))
        for second in range(1, 3):
            await handler.until_sent(20 * second)
            assert handler.sent.total() == 20 * second
            clock.advance(1)
        await settled(mongo, 50)
        assert handler.most_under_way["log"] == 3


async def test_a_message_to_one_does_not_wait_until_a_large_group_was_told(mongo_url: str) -> None:
    clock = StandingClock()
    handler = RecordingHandler()
    limits = Limits(concurrency=16, rate=40.0)
    async with (
        store_at(mongo_url) as (store, mongo),
        engine(store, handler, clock=clock, limits=limits) as deliver,
    ):
        group = new_deliveries(160, "fcm", clock=clock)
        await deliver.add(group)
        await handler.until_sent(40)
        clock.advance(0.1)
        [alone] = new_deliveries(1, "fcm", clock=clock)
        await deliver.add([alone])
        while alone.key not in handler.sent:
            sent = handler.sent.total()
            assert sent < 80
            clock.advance(0.5)
            await handler.until_sent(sent + 20)
        while handler.sent.total() < 161:
            clock.advance(1)
            await asyncio.sleep(0.02)
        await settled(mongo, 161)
        assert set(handler.tried.values()) == {1}
