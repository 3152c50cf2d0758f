"""``/admin/webhooks``: subscriptions of integrators, for operators."""

from http import HTTPStatus
from typing import Final

from contract import limits
from edge.rest.handler import RestHandler
from edge.rest.operation import Access, Operation, Parameter
from edge.rest.parameters import OBJECT_ID, number, one_of
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
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1 import webhook_service_pb2 as pb

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

_SUBSCRIPTION: Final = Parameter("subscriptionId", "The subscription.", OBJECT_ID, in_path=True)
_DELIVERY: Final = Parameter("deliveryId", "The `webhook-id` of its requests.", OBJECT_ID, in_path=True)
# 0, or UNSPECIFIED, is what notify_service takes for "not asked for".
_OUTCOME: Final = Parameter(
    "outcome", "Only with this outcome.", one_of(_OUTCOMES), default=pb.HOOK_OUTCOME_UNSPECIFIED
)
_LIMIT: Final = Parameter(
    "limit", "How many deliveries at most.", number(limits.RECORDS, default=limits.DEFAULT_RECORDS), default=0
)


class SubscriptionsHandler(RestHandler):
    """The subscriptions of integrators."""

    path = "/api/v1/admin/webhooks"
    operations = (
        Operation(
            method="GET",
            name="listWebhooks",
            summary="The subscriptions of integrators, the oldest first",
            answers={HTTPStatus.OK: SubscriptionsAnswer},
            access=Access.OPERATOR,
        ),
        Operation(
            method="POST",
            name="createWebhook",
            summary="Subscribe to what happens in chats; a repeat makes another subscription",
            body=NewSubscriptionBody,
            answers={HTTPStatus.CREATED: NewSubscriptionAnswer},
            access=Access.OPERATOR,
            idempotent=False,
        ),
    )

    async def get(self) -> None:
        """Lists the subscriptions."""
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
    """One subscription."""

    path = "/api/v1/admin/webhooks/{subscriptionId}"
    operations = (
        Operation(
            method="PUT",
            name="updateWebhook",
            summary="Replace what a subscription says; what is left out is as in a new one",
            parameters=(_SUBSCRIPTION,),
            body=SubscriptionBody,
            answers={HTTPStatus.OK: SubscriptionAnswer},
            errors=(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND,),
            access=Access.OPERATOR,
        ),
        Operation(
            method="DELETE",
            name="deleteWebhook",
            summary="Remove a subscription, and give up what waits for it",
            parameters=(_SUBSCRIPTION,),
            answers={HTTPStatus.NO_CONTENT: None},
            errors=(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND,),
            access=Access.OPERATOR,
        ),
    )

    async def put(self) -> None:
        """Replaces what it says; the id and the secret stay."""
        subscription_id = self.value(_SUBSCRIPTION)
        body = self.body(SubscriptionBody)
        changed = await self.deps.webhooks.UpdateSubscription(
            pb.UpdateSubscriptionRequest(subscription_id=subscription_id, spec=_spec(body))
        )
        self.answer(SubscriptionAnswer(subscription=_subscription(changed.subscription)))

    async def delete(self) -> None:
        """Removes it, and gives up what waits for it."""
        await self.deps.webhooks.DeleteSubscription(
            pb.DeleteSubscriptionRequest(subscription_id=self.value(_SUBSCRIPTION))
        )
        self.answer_nothing()


class SecretHandler(RestHandler):
    """The secret of a subscription."""

    path = "/api/v1/admin/webhooks/{subscriptionId}/secret"
    operations = (
        Operation(
            method="POST",
            name="rotateWebhookSecret",
            summary="Make a new secret; for a day requests are signed with the one before as well",
            parameters=(_SUBSCRIPTION,),
            answers={HTTPStatus.OK: SecretAnswer},
            errors=(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND,),
            access=Access.OPERATOR,
            idempotent=False,
        ),
    )

    async def post(self) -> None:
        """Makes a new secret, and shows it."""
        made = await self.deps.webhooks.RotateSecret(
            pb.RotateSecretRequest(subscription_id=self.value(_SUBSCRIPTION))
        )
        self.answer(SecretAnswer(signing_secret=made.signing_secret))


class HookDeliveriesHandler(RestHandler):
    """What became of events for a subscription."""

    path = "/api/v1/admin/webhooks/{subscriptionId}/deliveries"
    operations = (
        Operation(
            method="GET",
            name="listWebhookDeliveries",
            summary="What became of events for a subscription, the newest first",
            parameters=(_SUBSCRIPTION, _OUTCOME, _LIMIT),
            answers={HTTPStatus.OK: HookDeliveriesAnswer},
            errors=(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND,),
            access=Access.OPERATOR,
        ),
    )

    async def get(self) -> None:
        """Lists deliveries."""
        found = await self.deps.webhooks.ListHookDeliveries(
            pb.ListHookDeliveriesRequest(
                subscription_id=self.value(_SUBSCRIPTION),
                outcome=self.value(_OUTCOME),
                limit=self.value(_LIMIT),
            )
        )
        self.answer(HookDeliveriesAnswer(deliveries=list(map(_delivery, found.deliveries))))


class ReplayHandler(RestHandler):
    """Sending an event again."""

    path = "/api/v1/admin/webhooks/{subscriptionId}/deliveries/{deliveryId}/replay"
    operations = (
        Operation(
            method="POST",
            name="replayWebhookDelivery",
            summary="Send an event again at once; its content is kept for a day after it was sent or given "
            "up",
            parameters=(_SUBSCRIPTION, _DELIVERY),
            answers={HTTPStatus.NO_CONTENT: None},
            errors=(
                ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND,
                ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND,
            ),
            access=Access.OPERATOR,
            idempotent=False,
        ),
    )

    async def post(self) -> None:
        """Sends it again at once, under its first id."""
        await self.deps.webhooks.ReplayHookDelivery(
            pb.ReplayHookDeliveryRequest(
                subscription_id=self.value(_SUBSCRIPTION), delivery_id=self.value(_DELIVERY)
            )
        )
        self.answer_nothing()


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
