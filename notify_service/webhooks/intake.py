"""Queue `event-hooks`: what happens in chats, for integrators and for whoever left."""

from collections.abc import Callable, Sequence
from functools import partial

from mesh.clock import now_ms
from mesh.logs import get_logger
from notify_service.delivery.ports import DeliveryLog
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.inbox.inbox import Inbox, InboxKey
from notify_service.inbox.ports import Inboxes
from notify_service.ports import Deliveries
from notify_service.webhooks.event import Happened, HookEvent, MemberRemoved
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.subscription import HookKey, Subscription

_log = get_logger()


class EventIntake:
    """Makes deliveries to subscriptions, and notes in inboxes where memberships ended. Idempotent."""

    def __init__(
        self,
        inboxes: Inboxes,
        subscriptions: KnownSubscriptions,
        deliveries: Deliveries,
        log: DeliveryLog,
        *,
        encode: Callable[[HookEvent], bytes],
        expire_seconds: float,
    ) -> None:
        self._inboxes = inboxes
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
        await self._end_memberships([item.event for item in happened])
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

    async def _end_memberships(self, events: Sequence[HookEvent]) -> None:
        """What is shown to whoever left a chat, or was removed, becomes due to be taken away."""
        ends: dict[InboxKey, int] = {}
        for event in events:
            if isinstance(event.body, MemberRemoved):
                key = InboxKey(event.body.user_id, event.chat_id)
                ends[key] = max(ends.get(key, 0), event.seq)
        if ends:
            await self._inboxes.change({key: partial(Inbox.left, seq=seq) for key, seq in ends.items()})

    def _delivery(self, subscription: Subscription, item: Happened, at_ms: int) -> NewDelivery:
        event = item.event
        content = event if subscription.spec.include_content else event.without_content()
        return NewDelivery(
            key=str(HookKey(subscription.id, event.chat_id, event.seq, event.type)),
            lane=Lane.HOOK,
            provider=f"hook:{subscription.id}",
            target_id=subscription.id,
            payload=self._encode(content),
            created_at_ms=at_ms,
            expires_at_ms=at_ms + self._expire_ms,
            chat_id=event.chat_id,
            traceparent=item.traceparent,
        )
