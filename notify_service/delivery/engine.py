"""The engine: takes deliveries that are due, lets their handlers try, and has it written down."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Self

from mesh.backoff import Backoff
from mesh.breaker import State
from mesh.cancellation import end, is_cancelled
from mesh.clock import now_ms
from mesh.errors import Unavailable
from mesh.logs import get_logger
from mesh.outage import Outage
from notify_service.delivery.attempt import give_up, kind_of, make_attempt
from notify_service.delivery.ports import DeliveryStore
from notify_service.delivery.provider_limiter import Limits, ProviderLimiter, Ticket
from notify_service.delivery.record import Claim, Recorder
from notify_service.domain.delivery import Attempt, Delivery, Lane, NewDelivery
from notify_service.metrics import ATTEMPTS, PROVIDER_BREAKER
from notify_service.ports import DeliveryHandler

_LEAST_PAGE: Final = 16
_PAGES: Final = 16
_EXPIRED_PAGE: Final = 200
_LOOKUP_SECONDS: Final = 5.0
"""More than a call of a store or of a service takes before it fails."""

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long; the defaults suit production."""

    send_seconds: float = 15.0
    """How long one attempt may take."""
    poll_seconds: float = 0.25
    """How often the store is asked what has become due."""
    rest_seconds: float = 0.01
    """The least time between two looks, so that what ends together is replaced together."""
    lease_margin_seconds: float = 15.0
    """How much longer than an attempt a claim lasts: for writing down how it ended."""
    expire_seconds: float = 1.0
    """How often the store is asked what has run out of time."""
    careful_seconds: float = 5.0
    """After an outage of the store nobody's claim is taken over for so long: its holder may have carried it
    out, and could not say so."""
    not_made_seconds: float = 1.0
    """When an attempt that could not be made for want of a store is due again."""

    @classmethod
    def answering_within(cls, seconds: float) -> Self:
        """For providers that may take so long to answer, after what is looked up before they are asked."""
        return cls(send_seconds=seconds + _LOOKUP_SECONDS)


class Deliver:
    """Carries out deliveries, each once, whatever dies; any number of these work side by side.

    Nobody tries without a claim, and a claim lasts longer than an attempt may. What a crash costs depends on
    when it comes: before the claim nothing; between the claim and the record of how the attempt ended, one
    wait until the claim runs out, and a second notification in case the provider had taken the first; after
    the record nothing.

    Enter `run` into a lifecycle's supervision, and `drain` into its drain.
    """

    def __init__(
        self,
        store: DeliveryStore,
        handlers: Mapping[Lane, DeliveryHandler],
        limits: Limits,
        pace: Pace,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._delivery_handlers = handlers
        self._pace = pace
        self._clock = clock
        self._limiter = ProviderLimiter(limits, _show_breaker)
        self._holder = secrets.token_hex(8)
        self._lease_ms = round((pace.send_seconds + pace.lease_margin_seconds) * 1000)
        self._recorders = {
            lane: Recorder(
                store, handler, Claim(self._holder, self._lease_ms), clock, on_recorded=self._forget
            )
            for lane, handler in handlers.items()
        }
        self._held: set[str] = set()
        self._doubtful: list[Delivery] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        # Held while claiming, so that a drain knows that no attempt begins after it.
        self._claiming = asyncio.Lock()
        self._draining = False
        self._crowded = False
        self._contended = False
        self._careful_until_ms = 0
        self._after = ""
        self._newest_first = False

    async def add(self, deliveries: Sequence[NewDelivery]) -> None:
        """Stores them, and begins at once. A `Deliveries`."""
        await self._store.add(deliveries)
        self.wake()

    def wake(self) -> None:
        """Something may have become due."""
        self._wake.set()

    async def run(self) -> None:
        """Works until it is cancelled; attempts under way are cut off then."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane, recorder in self._recorders.items():
                    tasks.create_task(recorder.run(), name=f"record {lane.value}")
                tasks.create_task(self._work(self._claim_what_is_due, self._rest), name="claim")
                tasks.create_task(self._work(self._give_up_expired, self._until_expiry), name="expire")
        finally:
            # Restarted after a failure it goes on with them.
            if is_cancelled() and self._under_way:
                # Sooner again than whoever ends this task would cut it off.
                await end(*self._under_way, again_seconds=1.0)

    async def drain(self) -> None:
        """Begins no more attempts, and returns once those under way have ended and are recorded."""
        self._draining = True
        self.wake()
        async with self._claiming:
            pass
        if self._under_way:
            await asyncio.wait(self._under_way)
        for recorder in self._recorders.values():
            await recorder.flushed()

    async def _work(self, step: Callable[[], Awaitable[None]], rest: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(base=0.1, cap=2.0)
        away = Outage("deliveries.store_away", "deliveries.store_back")
        while not self._draining:
            try:
                async with self._claiming:
                    await step()
            except Unavailable as outage:
                away.failed(error=str(outage))
                self._careful_until_ms = self._clock() + round(self._pace.careful_seconds * 1000)
                await asyncio.sleep(backoff.next_delay())
            else:
                backoff.reset()
                away.worked()
                await rest()

    async def _rest(self) -> None:
        await asyncio.sleep(self._pace.rest_seconds)
        try:
            async with asyncio.timeout(self._pace.poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _until_expiry(self) -> None:
        await asyncio.sleep(self._pace.expire_seconds)

    def _lanes(self) -> list[Lane]:
        return [lane for lane, recorder in self._recorders.items() if not recorder.crowded]

    def _may_take_over(self, at_ms: int) -> bool:
        return at_ms >= self._careful_until_ms

    async def _claim_what_is_due(self) -> None:
        self._wake.clear()
        await self._clear_doubts()
        self._crowded = False
        self._limiter.forget_idle(self._clock())
        for _ in range(_PAGES):
            if self._draining or not await self._claim_page():
                return
        self.wake()

    async def _claim_page(self) -> bool:
        """Begins some attempts; whether there may be more to begin."""
        at_ms, newest_first = self._clock(), self._newest_first
        first = not self._after
        scope = self._limiter.scope(at_ms, "" if newest_first else self._after, newest_first=newest_first)
        lanes = self._lanes()
        if scope is None or not lanes:
            self._crowded = True
            return False
        self._crowded |= scope.limited
        limit = max(_LEAST_PAGE, self._limiter.room(at_ms))
        due = await self._store.due(at_ms, limit, scope, lanes, take_over=self._may_take_over(at_ms))
        full, last = len(due) == limit, due[-1].what.provider if due else ""
        if self._contended:
            # Another process looks at the same page: not both from its top.
            random.shuffle(due)
        begun = await self._begin(due, at_ms)
        # Where there is more than can begin, everybody gets on. Every other page that begins any is of what
        # became due last: a message to one person does not wait until a group of 100,000 was notified. The
        # others are of what has waited longest, and each goes on behind the last provider.
        if newest_first:
            self._newest_first = scope.limited and not begun
            return bool(begun)
        self._newest_first = full
        self._after = last if full else ""
        return bool(self._after and begun) or not first

    async def _clear_doubts(self) -> None:
        """Gives back what may have been claimed when the store did not answer: it need not wait that out."""
        if self._doubtful:
            await self._store.release(self._doubtful, self._holder, self._clock())
            self._doubtful = []

    async def _begin(self, due: Sequence[Delivery], at_ms: int) -> int:
        tickets: dict[str, Ticket] = {}
        for delivery in due:
            if delivery.id not in self._held:
                ticket = self._limiter.take(delivery.what.provider, at_ms)
                if ticket is None:
                    self._crowded = True
                else:
                    tickets[delivery.id] = ticket
        wanted = [delivery for delivery in due if delivery.id in tickets]
        try:
            claimed = await self._claim(wanted, at_ms)
            for delivery in claimed:
                task = asyncio.create_task(self._attempt(delivery, tickets.pop(delivery.id)))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        finally:
            for ticket in tickets.values():
                self._limiter.give_back(ticket, at_ms)
        return len(claimed)

    async def _claim(self, wanted: Sequence[Delivery], at_ms: int) -> list[Delivery]:
        if not wanted:
            return []
        try:
            claimed = await self._store.claim(wanted, self._holder, at_ms, at_ms + self._lease_ms)
        except Unavailable:
            self._doubtful += wanted
            raise
        self._contended = len(claimed) < len(wanted)
        self._held.update(delivery.id for delivery in claimed)
        return claimed

    async def _attempt(self, delivery: Delivery, ticket: Ticket) -> None:
        lane = delivery.what.lane
        result = await make_attempt(
            self._delivery_handlers[lane], delivery, self._pace.send_seconds, self._clock
        )
        self._limiter.end(ticket, result.verdict, self._clock(), result.pause_seconds)
        if self._crowded:
            self.wake()
        if result.attempt is None:
            await self._give_back(delivery)
        else:
            self._record(result.attempt)

    def _record(self, attempt: Attempt) -> None:
        ATTEMPTS.labels(kind_of(attempt.delivery), attempt.outcome.value).inc()
        self._recorders[attempt.delivery.what.lane].put(attempt)

    async def _give_back(self, delivery: Delivery) -> None:
        due_ms = self._clock() + round(self._pace.not_made_seconds * 1000)
        try:
            await self._store.release([delivery], self._holder, due_ms)
        except Unavailable:
            _log.warning("delivery.not_given_back", delivery_id=delivery.id)  # its claim will run out
        finally:
            self._held.discard(delivery.id)

    def _forget(self, recorded: Sequence[Attempt]) -> None:
        self._held.difference_update(attempt.delivery.id for attempt in recorded)

    async def _give_up_expired(self) -> None:
        """Also what no provider was asked for, because it was away all the time or has no handler here."""
        at_ms = self._clock()
        lanes = [lane for lane in Lane if lane not in self._recorders or not self._recorders[lane].crowded]
        if not self._may_take_over(at_ms):
            return
        expired = await self._store.expired(at_ms, _EXPIRED_PAGE, lanes)
        wanted = [delivery for delivery in expired if delivery.id not in self._held]
        nobodys: list[Attempt] = []
        for delivery in await self._claim(wanted, at_ms):
            # No attempt was made for this claim.
            end = give_up(replace(delivery, attempt=delivery.attempt - 1), at_ms)
            if delivery.what.lane in self._recorders:
                self._record(end)
            else:
                nobodys.append(end)
        await self._store.record(nobodys, self._holder)
        self._forget(nobodys)


def _show_breaker(provider: str, state: State) -> None:
    """Only breakers that are not closed are shown: anybody can add providers, few are ever of interest."""
    if state is State.CLOSED:
        with suppress(KeyError):
            PROVIDER_BREAKER.remove(provider)
        _log.info("provider.answers_again", provider=provider)
    else:
        PROVIDER_BREAKER.labels(provider).set(state.value)
        _log.warning("provider.down", provider=provider)
