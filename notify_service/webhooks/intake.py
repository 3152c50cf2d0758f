"""What happens in chats becomes deliveries to the subscriptions that want it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mesh.clock import now_ms
from mesh.logs import get_logger
from notify_service.delivery.ports import DeliveryLog
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.ports import Deliveries
from notify_service.webhooks.event import HookEvent
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.subscription import HookKey, Subscription

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and whom it is for."""

    event: HookEvent
    subscription_id: str = ""
    """Only this one, for which it was given up before; empty for all that want it."""
    traceparent: str = ""
    """The trace that it is a part of; empty unless that is recorded."""


class TakeEvents:
    """Idempotent: the same event gives the same deliveries."""

    def __init__(
        self,
        subscriptions: KnownSubscriptions,
        deliveries: Deliveries,
        log: DeliveryLog,
        *,
        encode: Callable[[HookEvent], bytes],
        expire_seconds: float,
    ) -> None:
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._log = log
        self._encode = encode
        self._expire_ms = round(expire_seconds * 1000)

    async def __call__(self, happened: Sequence[Happened]) -> None:
        """Returns when everything that anybody wants is stored as a delivery.

        Raises:
            Unavailable: MongoDB cannot be reached; all of it can be repeated.
        """
        known = await self._subscriptions.all()
        at_ms = now_ms()
        new: list[NewDelivery] = []
        again: list[NewDelivery] = []
        for item in happened:
            if not item.subscription_id:
                wanting = (found for found in known.values() if found.spec.wants(item.event))
                new += [self._delivery(subscription, item, at_ms) for subscription in wanting]
            elif (subscription := await self._subscriptions.find(item.subscription_id)) is not None:
                # Not asked whether it wants it: it did when the event happened.
                again.append(self._delivery(subscription, item, at_ms))
            else:
                _log.warning("hooks.nobody_left", subscription_id=item.subscription_id)
        if new:
            await self._deliveries.add(new)
        if again:
            await self._log.revive(again)

    def _delivery(self, subscription: Subscription, item: Happened, at_ms: int) -> NewDelivery:
        event = item.event
        told = event if subscription.spec.include_content else event.without_content()
        return NewDelivery(
            key=str(HookKey(subscription.id, event.chat_id, event.seq, event.type)),
            lane=Lane.HOOK,
            provider=f"hook:{subscription.id}",
            target_id=subscription.id,
            payload=self._encode(told),
            created_at_ms=at_ms,
            expires_at_ms=at_ms + self._expire_ms,
            chat_id=event.chat_id,
            traceparent=item.traceparent,
        )
