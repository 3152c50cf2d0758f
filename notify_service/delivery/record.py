"""Writes down how attempts ended, one lane for itself: what a lane's handler waits for holds up no other."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mesh.backoff import Backoff
from mesh.errors import Unavailable
from mesh.logs import get_logger
from mesh.outage import Outage
from notify_service.delivery.ports import DeliveryStore
from notify_service.domain.delivery import Attempt
from notify_service.ports import DeliveryHandler

CROWDED: Final = 256
"""With so many unrecorded, no more should be begun."""
_AT_ONCE: Final = 256

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Claim:
    """In whose name deliveries are claimed, and for how long."""

    holder: str
    lease_ms: int


class Recorder:
    """Keeps ended attempts until they are stored.

    They are known here alone, so they are kept through any outage, and their claims are moved on for as long
    as the store can be reached: nobody else tries what was tried already. What comes while one write is under
    way goes into the next.
    """

    def __init__(
        self,
        store: DeliveryStore,
        handler: DeliveryHandler,
        claim: Claim,
        clock: Callable[[], int],
        *,
        on_recorded: Callable[[Sequence[Attempt]], None],
    ) -> None:
        self._store = store
        self._handler = handler
        self._claim = claim
        self._clock = clock
        self._on_recorded = on_recorded
        self._ended: list[Attempt] = []
        self._held_until_ms = 0
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def put(self, attempt: Attempt) -> None:
        """Takes charge of one."""
        self._ended.append(attempt)
        self._some.set()
        self._none.clear()

    @property
    def crowded(self) -> bool:
        """Whether writing has fallen far behind."""
        return len(self._ended) >= CROWDED

    async def flushed(self) -> None:
        """Returns once all are stored."""
        await self._none.wait()

    async def run(self) -> None:
        """Works until it is cancelled; what it has not stored by then stays, for the next call."""
        backoff = Backoff(base=0.1, cap=1.0)
        waiting = Outage("deliveries.not_recorded", "deliveries.recorded")
        while True:
            await self._some.wait()
            batch = self._ended[:_AT_ONCE]
            try:
                await self._write(batch)
            except Unavailable as outage:
                waiting.failed(attempts=len(self._ended), error=str(outage))
                await self._keep_claims()
                await asyncio.sleep(backoff.next_delay())
                continue
            waiting.worked()
            backoff.reset()
            del self._ended[: len(batch)]
            self._on_recorded(batch)
            if not self._ended:
                self._some.clear()
                self._none.set()

    async def _write(self, batch: Sequence[Attempt]) -> None:
        """What follows from them comes first: once their state is stored nobody would do it any more."""
        try:
            await self._handler.conclude(batch)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - what one attempt trips over must not hold up the lane
            _log.exception("deliveries.conclude_failed", attempts=len(batch))
            await self._conclude_one_by_one(batch)
        await self._store.record(batch, self._claim.holder)

    async def _conclude_one_by_one(self, batch: Sequence[Attempt]) -> None:
        for attempt in batch:
            try:
                await self._handler.conclude([attempt])
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - as above
                # Recorded all the same: otherwise it would be sent again, to fail here again.
                _log.exception("delivery.conclude_failed", delivery_id=attempt.delivery.id)

    async def _keep_claims(self) -> None:
        now_ms = self._clock()
        if now_ms < self._held_until_ms - self._claim.lease_ms * 2 // 3:
            return
        with suppress(Unavailable):
            held = [attempt.delivery for attempt in self._ended]
            await self._store.hold(held, self._claim.holder, now_ms + self._claim.lease_ms)
            self._held_until_ms = now_ms + self._claim.lease_ms
