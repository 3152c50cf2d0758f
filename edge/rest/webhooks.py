"""``/admin/webhooks``: subscriptions of integrators, for operators."""

from http import HTTPStatus
from typing import Final, get_args

from edge.rest.errors import invalid
from edge.rest.handler import RestHandler
from edge.rest.parameters import number, object_id
from edge.rest.webhook_bodies import (
    EventTypeName,
    HookDeliveriesAnswer,
    HookDeliveryJson,
    NewSubscriptionAnswer,
    NewSubscriptionBody,
    OutcomeName,
    SecretAnswer,
    SubscriptionAnswer,
    SubscriptionBody,
    SubscriptionJson,
    SubscriptionsAnswer,
)
from mesh.clock import to_rfc3339
from parley.notify.v1 import webhook_service_pb2 as pb

MAX_DELIVERIES: Final = 500

_TYPES: Final[dict[EventTypeName, pb.HookEventType.ValueType]] = {
    "message.created": pb.HOOK_EVENT_TYPE_MESSAGE_CREATED,
    "chat.members_added": pb.HOOK_EVENT_TYPE_MEMBERS_ADDED,
    "chat.member_removed": pb.HOOK_EVENT_TYPE_MEMBER_REMOVED,
    "chat.updated": pb.HOOK_EVENT_TYPE_CHAT_UPDATED,
}
_TYPE_NAMES: Final = {number: name for name, number in _TYPES.items()}
_OUTCOMES: Final[dict[OutcomeName, pb.HookOutcome.ValueType]] = {
    "pending": pb.HOOK_OUTCOME_PENDING,
    "sent": pb.HOOK_OUTCOME_SENT,
    "failed": pb.HOOK_OUTCOME_FAILED,
}
_OUTCOME_NAMES: Final = {number: name for name, number in _OUTCOMES.items()}


class SubscriptionsHandler(RestHandler):
    """``/admin/webhooks``."""

    operators_only = True

    async def get(self) -> None:
        """All subscriptions, the oldest first."""
        found = await self.deps.webhooks.ListSubscriptions(pb.ListSubscriptionsRequest())
        self.answer(SubscriptionsAnswer(subscriptions=list(map(_subscription, found.subscriptions))))

    async def post(self) -> None:
        """Makes a subscription, and shows its secret."""
        body = self.body(NewSubscriptionBody)
        made = await self.deps.webhooks.CreateSubscription(
            pb.CreateSubscriptionRequest(spec=_spec(body), signing_secret=body.signing_secret)
        )
        self.answer(
            NewSubscriptionAnswer(
                subscription=_subscription(made.subscription), signing_secret=made.signing_secret
            ),
            HTTPStatus.CREATED,
        )


class SubscriptionHandler(RestHandler):
    """``/admin/webhooks/{subscriptionId}``."""

    operators_only = True

    async def put(self, subscription: str) -> None:
        """Replaces what it says; the id and the secret stay."""
        subscription_id = object_id("subscriptionId", subscription)
        body = self.body(SubscriptionBody)
        changed = await self.deps.webhooks.UpdateSubscription(
            pb.UpdateSubscriptionRequest(subscription_id=subscription_id, spec=_spec(body))
        )
        self.answer(SubscriptionAnswer(subscription=_subscription(changed.subscription)))

    async def delete(self, subscription: str) -> None:
        """Removes it, and gives up what waits for it."""
        subscription_id = object_id("subscriptionId", subscription)
        await self.deps.webhooks.DeleteSubscription(
            pb.DeleteSubscriptionRequest(subscription_id=subscription_id)
        )
        self.answer_nothing()


class SecretHandler(RestHandler):
    """``/admin/webhooks/{subscriptionId}/secret``."""

    operators_only = True

    async def post(self, subscription: str) -> None:
        """Makes a new secret, and shows it; for a day requests are signed with the one before as well."""
        subscription_id = object_id("subscriptionId", subscription)
        made = await self.deps.webhooks.RotateSecret(pb.RotateSecretRequest(subscription_id=subscription_id))
        self.answer(SecretAnswer(signing_secret=made.signing_secret))


class HookDeliveriesHandler(RestHandler):
    """``/admin/webhooks/{subscriptionId}/deliveries``."""

    operators_only = True

    async def get(self, subscription: str) -> None:
        """What became of events, the newest first."""
        subscription_id = object_id("subscriptionId", subscription)
        limit = self.query("limit")
        found = await self.deps.webhooks.ListHookDeliveries(
            pb.ListHookDeliveriesRequest(
                subscription_id=subscription_id,
                outcome=_outcome(self.query("outcome")),
                limit=0 if limit is None else number("limit", limit, MAX_DELIVERIES),
            )
        )
        self.answer(HookDeliveriesAnswer(deliveries=list(map(_delivery, found.deliveries))))


class ReplayHandler(RestHandler):
    """``/admin/webhooks/{subscriptionId}/deliveries/{deliveryId}/replay``."""

    operators_only = True

    async def post(self, subscription: str, delivery: str) -> None:
        """Sends it again at once, under its first id."""
        await self.deps.webhooks.ReplayHookDelivery(
            pb.ReplayHookDeliveryRequest(
                subscription_id=object_id("subscriptionId", subscription),
                delivery_id=object_id("deliveryId", delivery),
            )
        )
        self.answer_nothing()


def _outcome(name: str | None) -> pb.HookOutcome.ValueType:
    for known, outcome in _OUTCOMES.items():
        if name == known:
            return outcome
    if name is not None:
        raise invalid(f"outcome must be one of {', '.join(get_args(OutcomeName))}")
    return pb.HOOK_OUTCOME_UNSPECIFIED


def _spec(body: SubscriptionBody) -> pb.SubscriptionSpec:
    return pb.SubscriptionSpec(
        url=body.url,
        types=[_TYPES[name] for name in body.types],
        chat_ids=body.chat_ids,
        actor_ids=body.actor_ids,
        include_content=body.include_content,
        enabled=body.enabled,
        label=body.label,
    )


def _subscription(subscription: pb.Subscription) -> SubscriptionJson:
    spec = subscription.spec
    return SubscriptionJson(
        id=subscription.id,
        url=spec.url,
        types=[_TYPE_NAMES[kind] for kind in spec.types],
        chat_ids=list(spec.chat_ids),
        actor_ids=list(spec.actor_ids),
        include_content=spec.include_content,
        enabled=spec.enabled,
        label=spec.label,
        disabled_because=subscription.disabled_because,
        created_at=to_rfc3339(subscription.created_at_ms),
        updated_at=to_rfc3339(subscription.updated_at_ms),
    )


def _delivery(delivery: pb.HookDelivery) -> HookDeliveryJson:
    return HookDeliveryJson(
        id=delivery.id,
        type=_TYPE_NAMES[delivery.type],
        chat_id=delivery.chat_id,
        seq=delivery.seq,
        outcome=_OUTCOME_NAMES[delivery.outcome],
        detail=delivery.detail,
        attempts=delivery.attempts,
        created_at=to_rfc3339(delivery.created_at_ms),
        at=to_rfc3339(delivery.at_ms),
    )
