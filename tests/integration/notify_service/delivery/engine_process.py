"""An engine as a process, which a test can kill: writes down on standard output what its provider took."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from mesh.logs import configure_logs
from notify_service.adapters.mongo.database import open_mongo
from notify_service.adapters.mongo.deliveries import MongoDeliveries
from notify_service.adapters.mongo.indexes import make_indexes
from notify_service.delivery.engine import Deliver, Pace
from notify_service.delivery.provider_limiter import Limits
from notify_service.domain.delivery import Delivery, Lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notify_service.domain.delivery import Attempt

SLOTS = 8
PACE = Pace(send_seconds=0.5, poll_seconds=0.05, lease_margin_seconds=0.5)


class Printing:
    """A handler whose provider takes everything, and answers a little later."""

    async def deliver(self, delivery: Delivery) -> str:
        sys.stdout.write(delivery.what.key + "\n")
        sys.stdout.flush()
        await asyncio.sleep(0.005)  # so that a kill meets attempts under way
        return ""

    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """Nothing follows from them."""


async def _main(url: str, database: str) -> None:
    async with open_mongo(url, database) as mongo:
        await mongo.prepare(make_indexes)
        store = MongoDeliveries(mongo)
        await Deliver(store, {Lane.DEVICE: Printing()}, Limits(concurrency=SLOTS, rate=1e6), PACE).run()


if __name__ == "__main__":
    configure_logs("engine", "WARNING", "json")  # on standard error
    asyncio.run(_main(*sys.argv[1:3]))
