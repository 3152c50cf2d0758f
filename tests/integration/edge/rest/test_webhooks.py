"""Subscriptions over HTTP: for operators, and what notify_service is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mesh.errors import InvalidArgument, NotFound, unavailable
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1 import webhook_service_pb2 as pb
from tests.integration.edge.rest.api import OPERATIONS, Api, error_of
from tests.integration.edge.rest.conftest import token_for

if TYPE_CHECKING:
    import httpx

    from tests.integration.edge.rest.conftest import ScriptedNotify

ID = "6561a0b1c2d3e4f506172839"
DELIVERY = "6561a0b1c2d3e4f50617283a"
CHAT = "6561a0b1c2d3e4f50617283b"
URL = "https://hooks.example/in"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STORED = pb.Subscription(
    id=ID,
    spec=pb.SubscriptionSpec(
        url=URL,
        types=[pb.HOOK_EVENT_TYPE_MESSAGE_CREATED],
        chat_ids=[CHAT],
        actor_ids=["alice"],
        include_content=True,
        enabled=True,
        label="the shop",
    ),
    created_at_ms=1_767_323_045_678,
    updated_at_ms=1_767_323_045_679,
)
SHOWN = {
    "id": ID,
    "url": URL,
    "types": ["message.created"],
    "chatIds": [CHAT],
    "actorIds": ["alice"],
    "includeContent": True,
    "enabled": True,
    "label": "the shop",
    "disabledBecause": "",
    "createdAt": "2026-01-02T03:04:05.678Z",
    "updatedAt": "2026-01-02T03:04:05.679Z",
}
WISHES = {
    "url": URL,
    "types": ["message.created"],
    "chatIds": [CHAT],
    "actorIds": ["alice"],
    "label": "the shop",
}


@pytest.fixture
def operator(client: httpx.AsyncClient) -> Api:
    return Api(client, token_for("olga", scope="openid parley.operator"))


@pytest.mark.parametrize(
    "name", [name for name, (path, _) in OPERATIONS.items() if path.startswith("/api/v1/admin/webhooks")]
)
async def test_users_are_refused(api: Api, notify: ScriptedNotify, name: str) -> None:
    for token in (token_for("ada"), token_for("ada", scope="parley.operators other")):
        response = await api.call(name, WISHES, token=token, subscriptionId=ID, deliveryId=DELIVERY)
        assert error_of(response) == (403, "PERMISSION_DENIED", False)
    assert notify.requests == []


async def test_a_subscription_is_made_and_its_secret_shown_once(
    operator: Api, notify: ScriptedNotify
) -> None:
    notify.answers |= {
        "CreateSubscription": pb.CreateSubscriptionResponse(subscription=STORED, signing_secret=SECRET),
        "ListSubscriptions": pb.ListSubscriptionsResponse(subscriptions=[STORED]),
    }
    made = await operator.call("createWebhook", WISHES | {"signingSecret": SECRET})
    assert made.status_code == 201
    assert made.json() == {"subscription": SHOWN, "signingSecret": SECRET}
    assert (await operator.call("listWebhooks")).json() == {"subscriptions": [SHOWN]}
    assert notify.requests == [
        pb.CreateSubscriptionRequest(spec=STORED.spec, signing_secret=SECRET),
        pb.ListSubscriptionsRequest(),
    ]


async def test_what_is_left_out_wants_everything(operator: Api, notify: ScriptedNotify) -> None:
    notify.answers["CreateSubscription"] = pb.CreateSubscriptionResponse(subscription=STORED)
    await operator.call("createWebhook", {"url": URL})
    wanted = pb.SubscriptionSpec(url=URL, include_content=True, enabled=True)
    assert notify.requests == [pb.CreateSubscriptionRequest(spec=wanted)]


async def test_it_is_changed_rotated_and_removed(operator: Api, notify: ScriptedNotify) -> None:
    notify.answers |= {
        "UpdateSubscription": pb.UpdateSubscriptionResponse(subscription=STORED),
        "RotateSecret": pb.RotateSecretResponse(signing_secret=SECRET),
        "DeleteSubscription": pb.DeleteSubscriptionResponse(),
    }
    changed = await operator.call("updateWebhook", WISHES, subscriptionId=ID)
    assert changed.json() == {"subscription": SHOWN}
    rotated = await operator.call("rotateWebhookSecret", subscriptionId=ID)
    assert rotated.json() == {"signingSecret": SECRET}
    assert (await operator.call("deleteWebhook", subscriptionId=ID)).status_code == 204
    assert notify.requests == [
        pb.UpdateSubscriptionRequest(subscription_id=ID, spec=STORED.spec),
        pb.RotateSecretRequest(subscription_id=ID),
        pb.DeleteSubscriptionRequest(subscription_id=ID),
    ]


async def test_deliveries_are_shown_and_replayed(operator: Api, notify: ScriptedNotify) -> None:
    notify.answers |= {
        "ListHookDeliveries": pb.ListHookDeliveriesResponse(
            deliveries=[
                pb.HookDelivery(
                    id=DELIVERY,
                    type=pb.HOOK_EVENT_TYPE_CHAT_UPDATED,
                    chat_id=CHAT,
                    seq=7,
                    outcome=pb.HOOK_OUTCOME_FAILED,
                    detail="HTTP 500",
                    attempts=3,
                    created_at_ms=1_767_323_045_678,
                    at_ms=1_767_323_045_679,
                )
            ]
        ),
        "ReplayHookDelivery": pb.ReplayHookDeliveryResponse(),
    }
    found = await operator.call("listWebhookDeliveries", query="?outcome=failed&limit=500", subscriptionId=ID)
    assert found.json() == {
        "deliveries": [
            {
                "id": DELIVERY,
                "type": "chat.updated",
                "chatId": CHAT,
                "seq": 7,
                "outcome": "failed",
                "detail": "HTTP 500",
                "attempts": 3,
                "createdAt": "2026-01-02T03:04:05.678Z",
                "at": "2026-01-02T03:04:05.679Z",
            }
        ]
    }
    await operator.call("listWebhookDeliveries", subscriptionId=ID)
    replayed = await operator.call("replayWebhookDelivery", subscriptionId=ID, deliveryId=DELIVERY)
    assert replayed.status_code == 204
    assert notify.requests == [
        pb.ListHookDeliveriesRequest(subscription_id=ID, outcome=pb.HOOK_OUTCOME_FAILED, limit=500),
        pb.ListHookDeliveriesRequest(subscription_id=ID),
        pb.ReplayHookDeliveryRequest(subscription_id=ID, delivery_id=DELIVERY),
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://" + "x" * 2041}, "url"),
        (WISHES | {"types": ["message.sent"]}, "types"),
        (WISHES | {"chatIds": ["x"]}, "chatIds"),
        (WISHES | {"chatIds": [CHAT] * 101}, "chatIds"),
        (WISHES | {"actorIds": ["a\u0000"]}, "actorIds[0]"),
        (WISHES | {"label": "x" * 101}, "label"),
        (WISHES | {"enable": False}, "enable"),
        (WISHES | {"enabled": "no"}, "enabled"),
    ],
)
async def test_a_body_that_breaks_a_rule(
    operator: Api, notify: ScriptedNotify, body: dict[str, Any], told: str
) -> None:
    for name in ("createWebhook", "updateWebhook"):
        response = await operator.call(name, body, subscriptionId=ID)
        assert error_of(response) == (400, "INVALID_ARGUMENT", False)
        assert told in response.json()["error"]["message"]
    assert notify.requests == []


@pytest.mark.parametrize("query", ["?limit=0", "?limit=501", "?limit=x", "?outcome=lost", "?outcome="])
async def test_a_query_that_breaks_a_rule(operator: Api, notify: ScriptedNotify, query: str) -> None:
    response = await operator.call("listWebhookDeliveries", query=query, subscriptionId=ID)
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert notify.requests == []


@pytest.mark.parametrize(
    "name", ["updateWebhook", "deleteWebhook", "rotateWebhookSecret", "listWebhookDeliveries"]
)
async def test_a_path_that_holds_no_id(operator: Api, notify: ScriptedNotify, name: str) -> None:
    response = await operator.call(name, WISHES, subscriptionId="x")
    assert error_of(response) == (400, "INVALID_ARGUMENT", False)
    assert notify.requests == []


async def test_what_notify_service_refuses(operator: Api, notify: ScriptedNotify) -> None:
    notify.answers |= {
        "CreateSubscription": InvalidArgument(
            ErrorReason.ERROR_REASON_INVALID_ARGUMENT, "spec.url: leads to this machine"
        ),
        "RotateSecret": NotFound(ErrorReason.ERROR_REASON_SUBSCRIPTION_NOT_FOUND, "there is none"),
        "ReplayHookDelivery": NotFound(ErrorReason.ERROR_REASON_DELIVERY_NOT_FOUND, "there is none"),
        "ListSubscriptions": unavailable("mongodb"),
    }
    refused = await operator.call("createWebhook", {"url": "https://localhost/"})
    assert error_of(refused) == (400, "INVALID_ARGUMENT", False)
    refused = await operator.call("rotateWebhookSecret", subscriptionId=ID)
    assert error_of(refused) == (404, "SUBSCRIPTION_NOT_FOUND", False)
    refused = await operator.call("replayWebhookDelivery", subscriptionId=ID, deliveryId=DELIVERY)
    assert error_of(refused) == (404, "DELIVERY_NOT_FOUND", False)
    assert error_of(await operator.call("listWebhooks")) == (503, "UNAVAILABLE", True)
