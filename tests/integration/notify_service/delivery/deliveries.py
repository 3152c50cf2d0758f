"""What the tests of deliveries share: a handler that does as it is notified, and an engine that runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mesh.cancellation import end
from mesh.clock import now_ms
from mesh.ids import new_object_id
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.delivery.engine import Deliver, Pace
from notify_service.delivery.provider_limiter import Limits
from notify_service.domain.delivery import Attempt, AttemptOutcome, Delivery, Lane, NewDelivery
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from mesh.mongo import Mongo


PACE = Pace(
    send_seconds=2.0,
    poll_seconds=0.02,
    rest_seconds=0.001,
    lease_margin_seconds=2.0,
    expire_seconds=0.05,
    careful_seconds=0.3,
    not_made_seconds=0.02,
)
LIMITS = Limits(rate=10_000, probe_seconds=0.02)


class Clock:
    """The real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms

    def advance(self, seconds: float) -> None:
        self.ahead_ms += round(seconds * 1000)


class StandingClock(Clock):
    """The time at which it was made, and what a test adds to it.

    Not a time of long ago: MongoDB removes by its own clock what was settled then.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made_ms = now_ms()

    def __call__(self) -> int:
        return self._made_ms + self.ahead_ms


async def take(delivery: Delivery) -> str:  # noqa: ARG001
    """A provider that takes everything."""
    return "taken"


class RecordingHandler:
    """Notes what it delivers and what it is notified of, by the deliveries' keys."""

    def __init__(self, provider: Callable[[Delivery], Awaitable[str]] = take) -> None:
        self.provider = provider
        self.tried: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.most_under_way: Counter[str] = Counter()
        self.concluded: list[Attempt] = []

    async def deliver(self, delivery: Delivery) -> str:
        name = delivery.what.provider
        self.tried[delivery.what.key] += 1
        self.under_way[name] += 1
        self.most_under_way[name] = max(self.most_under_way[name], self.under_way[name])
        try:
            receipt = await self.provider(delivery)
        finally:
            self.under_way[name] -= 1
        self.sent[delivery.what.key] += 1
        return receipt

    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        self.concluded += attempts

    async def until_tried(self, key: str, times: int) -> None:
        """Returns once so many attempts at this delivery have begun."""
        await eventually(lambda: self.tried[key] >= times)

    async def until_sent(self, count: int) -> None:
        """Returns once so many were taken."""
        await eventually(lambda: self.sent.total() >= count)

    async def until_concluded(self, count: int) -> None:
        """Returns once so many attempts were concluded."""
        await eventually(lambda: len(self.concluded) >= count)

    def ended(self, outcome: AttemptOutcome) -> list[Attempt]:
        """The attempts with this outcome."""
        return [attempt for attempt in self.concluded if attempt.outcome is outcome]


def new_deliveries(
    count: int,
    provider: str = "log",
    lane: Lane = Lane.DEVICE,
    *,
    clock: Callable[[], int] = now_ms,
    seconds: float = 86_400,
    target_id: str = "",
) -> list[NewDelivery]:
    """Deliveries with keys of their own."""
    at_ms = clock()
    return [
        NewDelivery(
            key=f"{new_object_id()}:{number}",
            lane=lane,
            provider=provider,
            target_id=target_id or new_object_id(),
            payload=b"{}",
            created_at_ms=at_ms,
            expires_at_ms=at_ms + round(seconds * 1000),
            user_id=f"user-{number}",
            chat_id=new_object_id(),
            message_ids=(new_object_id(),),
        )
        for number in range(count)
    ]


async def settled(mongo: Mongo, count: int) -> None:
    """Returns once there are so many deliveries, and none of them waits."""
    deliveries = mongo.collection("deliveries")

    async def all_ended() -> bool:
        waiting = await deliveries.count_documents({"waiting": True})
        return not waiting and await deliveries.count_documents({}) == count

    await eventually(all_ended, f"{count} deliveries, none of which waits")


@asynccontextmanager
async def store_at(mongo_url: str) -> AsyncIterator[tuple[MongoDeliveries, Mongo]]:
    """A store in a database of its own: engines take whatever they find."""
    async with open_mongo(mongo_url, f"test_{new_object_id()}") as mongo:
        await mongo.prepare(make_indexes)
        yield MongoDeliveries(mongo), mongo


@asynccontextmanager
async def engine(
    store: MongoDeliveries,
    handler: RecordingHandler,
    *,
    pace: Pace = PACE,
    limits: Limits = LIMITS,
    clock: Callable[[], int] = now_ms,
    lanes: Sequence[Lane] = (Lane.DEVICE,),
) -> AsyncIterator[Deliver]:
    """A running engine, which ends as one that is killed does: without a drain."""
    deliver = Deliver(store, dict.fromkeys(lanes, handler), limits, pace, clock)
    async with running_engine(deliver):
        yield deliver


@asynccontextmanager
async def running_engine(deliver: Deliver) -> AsyncIterator[None]:
    """Runs it while entered."""
    task = asyncio.create_task(deliver.run())
    try:
        yield
    finally:
        await end(task)
        if not task.cancelled():
            task.result()
