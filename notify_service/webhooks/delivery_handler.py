"""The handler of integrators' events."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from typing_extensions import override

from mesh.clock import now_ms
from mesh.logs import get_logger
from notify_service.domain.delivery import Attempt, AttemptOutcome, Delivery
from notify_service.ports import (
    DeliveryHandler,
    NotAskedError,
    NotWantedError,
    SendDelayedError,
    SignedPost,
    TargetGoneError,
)
from notify_service.webhooks.event import DeadEvent, to_json, without_content
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.ports import DeadEvents, SubscriptionStore
from notify_service.webhooks.proto_codec import BadEventError, from_bytes
from notify_service.webhooks.subscription import REMOVED, Subscription

_NOT_WANTED: Final = "the subscription does not want it any more"
_GIVEN_UP: Final = frozenset({AttemptOutcome.FAILED, AttemptOutcome.GONE})

_log = get_logger()


class HookDeliveryHandler(DeliveryHandler):
    """Posts events, and dead-letters those that were given up, as long as there is the subscription."""

    def __init__(
        self, known: KnownSubscriptions, store: SubscriptionStore, post: SignedPost, dead_events: DeadEvents
    ) -> None:
        self._known = known
        self._store = store
        self._post = post
        self._dead_events = dead_events

    @override
    async def deliver(self, delivery: Delivery) -> str:
        """Posts the event to where the subscription points now, signed with what it has now."""
        subscription = await self._known.find(delivery.what.target_id)
        if subscription is None:
            raise NotAskedError(REMOVED)
        if not subscription.spec.enabled:
            # As a receiver that is down: all that waits for it is held back, not only this one.
            raise SendDelayedError("the subscription is disabled")
        try:
            event = from_bytes(delivery.what.payload)
        except BadEventError as error:
            raise NotAskedError(f"the event cannot be read: {error}") from error
        if not subscription.spec.wants(event):
            # It was narrowed since: what waited, or is replayed, is no more to leave than what happens now.
            raise NotWantedError(_NOT_WANTED)
        if not subscription.spec.include_content:
            event = replace(event, entry=without_content(event.entry))
        body = to_json(event)
        at_ms = now_ms()
        try:
            return await self._post(
                subscription.spec.url, body, delivery.id, subscription.signing_secrets(at_ms)
            )
        except TargetGoneError as error:
            await self._disable(subscription, str(error))
            raise

    @override
    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """Buries what was given up."""
        given_up = [attempt for attempt in attempts if attempt.outcome in _GIVEN_UP]
        targets = {attempt.delivery.what.target_id for attempt in given_up}
        there = {target for target in targets if await self._known.find(target) is not None}
        if dead := [_dead(attempt) for attempt in given_up if attempt.delivery.what.target_id in there]:
            await self._dead_events.bury(dead)

    async def _disable(self, subscription: Subscription, detail: str) -> None:
        """The receiver wants no more; unless its URL was changed meanwhile."""
        if await self._store.disable(subscription.id, subscription.spec.url, detail, now_ms()):
            self._known.forget()
            # What it said may quote the event: that is for operators who ask, and not for the log.
            _log.warning("hooks.subscription_disabled", subscription_id=subscription.id)


def _dead(attempt: Attempt) -> DeadEvent:
    return DeadEvent(
        delivery_id=attempt.delivery.id,
        subscription_id=attempt.delivery.what.target_id,
        payload=attempt.delivery.what.payload,
        reason=attempt.detail,
        attempts=attempt.delivery.attempt,
    )
