"""`parley.notify.v1.WebhookService`: protobuf in, use cases, protobuf out."""

from typing import Any, Final

import grpc

from notify_service.domain.limits import invalid
from notify_service.webhooks.delivery_desk import HookDeliveryDesk
from notify_service.webhooks.event import HookEventType
from notify_service.webhooks.hook_delivery import HookDelivery, HookOutcome
from notify_service.webhooks.subscription import Subscription, SubscriptionSpec
from notify_service.webhooks.subscriptions import Subscriptions
from parley.notify.v1 import webhook_service_pb2 as pb
from parley.notify.v1.webhook_service_pb2_grpc import WebhookServiceServicer

_TYPES: Final = {
    pb.HOOK_EVENT_TYPE_MESSAGE_CREATED: HookEventType.MESSAGE_CREATED,
    pb.HOOK_EVENT_TYPE_MEMBERS_ADDED: HookEventType.MEMBERS_ADDED,
    pb.HOOK_EVENT_TYPE_MEMBER_REMOVED: HookEventType.MEMBER_REMOVED,
    pb.HOOK_EVENT_TYPE_CHAT_UPDATED: HookEventType.CHAT_UPDATED,
}
_TYPES_OUT: Final = {kind: number for number, kind in _TYPES.items()}
_OUTCOMES: Final = {
    pb.HOOK_OUTCOME_PENDING: HookOutcome.PENDING,
    pb.HOOK_OUTCOME_SENT: HookOutcome.SENT,
    pb.HOOK_OUTCOME_FAILED: HookOutcome.FAILED,
}
_OUTCOMES_OUT: Final = {outcome: number for number, outcome in _OUTCOMES.items()}

Context = grpc.aio.ServicerContext[Any, Any]


class WebhookRpc(WebhookServiceServicer):
    """The servicer; limits and errors are the use cases'."""

    def __init__(self, subscriptions: Subscriptions, deliveries: HookDeliveryDesk) -> None:
        self._subscriptions = subscriptions
        self._deliveries = deliveries

    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, context: Context
    ) -> pb.CreateSubscriptionResponse:
        """Makes a subscription."""
        made = await self._subscriptions.create(_spec(request), request.signing_secret)
        return pb.CreateSubscriptionResponse(
            subscription=_subscription(made), signing_secret=made.secrets[0].value
        )

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Context
    ) -> pb.ListSubscriptionsResponse:
        """Lists the subscriptions."""
        return pb.ListSubscriptionsResponse(
            subscriptions=map(_subscription, await self._subscriptions.list())
        )

    async def UpdateSubscription(
        self, request: pb.UpdateSubscriptionRequest, context: Context
    ) -> pb.UpdateSubscriptionResponse:
        """Replaces what a subscription says."""
        changed = await self._subscriptions.update(request.subscription_id, _spec(request))
        return pb.UpdateSubscriptionResponse(subscription=_subscription(changed))

    async def RotateSecret(
        self, request: pb.RotateSecretRequest, context: Context
    ) -> pb.RotateSecretResponse:
        """Makes a new secret."""
        secret = await self._subscriptions.rotate(request.subscription_id)
        return pb.RotateSecretResponse(signing_secret=secret)

    async def DeleteSubscription(
        self, request: pb.DeleteSubscriptionRequest, context: Context
    ) -> pb.DeleteSubscriptionResponse:
        """Removes a subscription."""
        await self._subscriptions.remove(request.subscription_id)
        return pb.DeleteSubscriptionResponse()

    async def ListHookDeliveries(
        self, request: pb.ListHookDeliveriesRequest, context: Context
    ) -> pb.ListHookDeliveriesResponse:
        """Lists deliveries."""
        outcome = _OUTCOMES.get(request.outcome)
        if outcome is None and request.outcome != pb.HOOK_OUTCOME_UNSPECIFIED:
            raise invalid("outcome: is not known to this version")
        found = await self._deliveries.list(request.subscription_id, outcome, request.limit)
        return pb.ListHookDeliveriesResponse(deliveries=map(_delivery, found))

    async def ReplayHookDelivery(
        self, request: pb.ReplayHookDeliveryRequest, context: Context
    ) -> pb.ReplayHookDeliveryResponse:
        """Sends a delivery again."""
        await self._deliveries.replay(request.subscription_id, request.delivery_id)
        return pb.ReplayHookDeliveryResponse()


def _spec(request: pb.CreateSubscriptionRequest | pb.UpdateSubscriptionRequest) -> SubscriptionSpec:
    if not request.HasField("spec"):
        # A message left out would read as one that is disabled.
        raise invalid("spec: is not set")
    spec = request.spec
    if any(number not in _TYPES for number in spec.types):
        raise invalid("spec.types: one is not set, or not known to this version")
    return SubscriptionSpec(
        url=spec.url,
        types=frozenset(_TYPES[number] for number in spec.types),
        chat_ids=frozenset(spec.chat_ids),
        actor_ids=frozenset(spec.actor_ids),
        include_content=spec.include_content,
        enabled=spec.enabled,
        label=spec.label,
    )


def _subscription(subscription: Subscription) -> pb.Subscription:
    spec = subscription.spec
    return pb.Subscription(
        id=subscription.id,
        spec=pb.SubscriptionSpec(
            url=spec.url,
            types=sorted(_TYPES_OUT[kind] for kind in spec.types),
            chat_ids=sorted(spec.chat_ids),
            actor_ids=sorted(spec.actor_ids),
            include_content=spec.include_content,
            enabled=spec.enabled,
            label=spec.label,
        ),
        created_at_ms=subscription.created_at_ms,
        updated_at_ms=subscription.updated_at_ms,
        disabled_because=subscription.disabled_because,
    )


def _delivery(delivery: HookDelivery) -> pb.HookDelivery:
    return pb.HookDelivery(
        id=delivery.id,
        type=_TYPES_OUT[delivery.key.type],
        chat_id=delivery.key.chat_id,
        seq=delivery.key.seq,
        outcome=_OUTCOMES_OUT[delivery.outcome],
        detail=delivery.detail,
        attempts=delivery.attempts,
        created_at_ms=delivery.created_at_ms,
        at_ms=delivery.at_ms,
    )
