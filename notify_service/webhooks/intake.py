"""Queue `event-hooks`: what happens in chats, for integrators and for whoever left."""

from collections.abc import Sequence
from functools import partial

from mesh.clock import now_ms
from mesh.logs import get_logger
from notify_service.delivery.ports import DeliveryLog
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.inbox.inbox import Inbox, InboxKey
from notify_service.inbox.ports import Inboxes
from notify_service.ports import Deliveries
from notify_service.webhooks.event import Happened, without_content
from notify_service.webhooks.known_subscriptions import KnownSubscriptions
from notify_service.webhooks.proto_codec import to_bytes
from notify_service.webhooks.subscription import HookKey, Subscription
from parley.events.v1.chat_event_pb2 import ChatEvent

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
        expire_seconds: float,
    ) -> None:
        self._inboxes = inboxes
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._log = log
        self._expire_ms = round(expire_seconds * 1000)

    async def __call__(self, happened: Sequence[Happened]) -> None:
        """Returns when everything that anybody wants is stored as a delivery.

        Raises:
            Unavailable: MongoDB cannot be reached; all of it can be repeated.
        """
        await self._end_memberships([item.event.entry for item in happened])
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

    async def _end_memberships(self, entries: Sequence[ChatEvent]) -> None:
        """What is shown to whoever left a chat, or was removed, becomes due to be taken away."""
        ends: dict[InboxKey, int] = {}
        for entry in entries:
            if entry.HasField("member_removed"):
                key = InboxKey(entry.member_removed.user_id, entry.chat_id)
                ends[key] = max(ends.get(key, 0), entry.seq)
        if ends:
            await self._inboxes.change({key: partial(Inbox.left, seq=seq) for key, seq in ends.items()})

    def _delivery(self, subscription: Subscription, item: Happened, at_ms: int) -> NewDelivery:
        event, entry = item.event, item.event.entry
        kept = entry if subscription.spec.include_content else without_content(entry)
        return NewDelivery(
            key=str(HookKey(subscription.id, entry.chat_id, entry.seq, event.type)),
            lane=Lane.HOOK,
            provider=f"hook:{subscription.id}",
            target_id=subscription.id,
            payload=to_bytes(kept),
            created_at_ms=at_ms,
            expires_at_ms=at_ms + self._expire_ms,
            chat_id=entry.chat_id,
            traceparent=entry.traceparent,
        )
