"""The operations of ``/admin/webhooks``."""

from http import HTTPStatus
from typing import Final, get_args

from edge.rest.operation import ALWAYS, BODY, Operation, Parameter
from edge.rest.webhook_bodies import (
    HookDeliveriesAnswer,
    NewSubscriptionAnswer,
    NewSubscriptionBody,
    OutcomeName,
    SecretAnswer,
    SubscriptionAnswer,
    SubscriptionBody,
    SubscriptionsAnswer,
)
from edge.rest.webhooks import MAX_DELIVERIES

_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_SUBSCRIPTION: Final = Parameter("subscriptionId", "The subscription.", _ID, in_path=True)
_DELIVERY: Final = Parameter("deliveryId", "The `webhook-id` of its requests.", _ID, in_path=True)
_OUTCOME: Final = Parameter(
    "outcome", "Only with this outcome.", {"type": "string", "enum": list(get_args(OutcomeName))}
)
_LIMIT: Final = Parameter(
    "limit",
    "How many deliveries at most.",
    {"type": "integer", "minimum": 1, "maximum": MAX_DELIVERIES, "default": 100},
)
_ADMIN: Final = (*ALWAYS, HTTPStatus.FORBIDDEN)
_OF_ONE: Final = (*_ADMIN, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)

WEBHOOK_OPERATIONS: Final = (
    Operation(
        name="listWebhooks",
        method="get",
        path="/api/v1/admin/webhooks",
        summary="The subscriptions of integrators, the oldest first",
        answers={HTTPStatus.OK: SubscriptionsAnswer},
        errors=_ADMIN,
        operators_only=True,
    ),
    Operation(
        name="createWebhook",
        method="post",
        path="/api/v1/admin/webhooks",
        summary="Subscribe to what happens in chats; a repeat makes another subscription",
        body=NewSubscriptionBody,
        answers={HTTPStatus.CREATED: NewSubscriptionAnswer},
        errors=(*_ADMIN, *BODY),
        operators_only=True,
    ),
    Operation(
        name="updateWebhook",
        method="put",
        path="/api/v1/admin/webhooks/{subscriptionId}",
        summary="Replace what a subscription says; what is left out is as in a new one",
        parameters=(_SUBSCRIPTION,),
        body=SubscriptionBody,
        answers={HTTPStatus.OK: SubscriptionAnswer},
        errors=(*_OF_ONE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        operators_only=True,
    ),
    Operation(
        name="deleteWebhook",
        method="delete",
        path="/api/v1/admin/webhooks/{subscriptionId}",
        summary="Remove a subscription, and give up what waits for it",
        parameters=(_SUBSCRIPTION,),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=_OF_ONE,
        operators_only=True,
    ),
    Operation(
        name="rotateWebhookSecret",
        method="post",
        path="/api/v1/admin/webhooks/{subscriptionId}/secret",
        summary="Make a new secret; for a day requests are signed with the one before as well",
        parameters=(_SUBSCRIPTION,),
        answers={HTTPStatus.OK: SecretAnswer},
        errors=_OF_ONE,
        operators_only=True,
    ),
    Operation(
        name="listWebhookDeliveries",
        method="get",
        path="/api/v1/admin/webhooks/{subscriptionId}/deliveries",
        summary="What became of events for a subscription, the newest first",
        parameters=(_SUBSCRIPTION, _OUTCOME, _LIMIT),
        answers={HTTPStatus.OK: HookDeliveriesAnswer},
        errors=_OF_ONE,
        operators_only=True,
    ),
    Operation(
        name="replayWebhookDelivery",
        method="post",
        path="/api/v1/admin/webhooks/{subscriptionId}/deliveries/{deliveryId}/replay",
        summary="Send an event again at once; its content is kept for a day after it was sent or given up",
        parameters=(_SUBSCRIPTION, _DELIVERY),
        answers={HTTPStatus.NO_CONTENT: None},
        errors=_OF_ONE,
        operators_only=True,
    ),
)
"""Each takes the scope of operators."""
