"""Integrators: what happens in chats reaches their servers, signed; what they missed can be sent again."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import Connect
from tests.e2e.mesh import Client, Mesh, Rest
from tests.providers.webhook_receiver import Reply, WebhookReceiver, webhook_receiver


@pytest.fixture
async def operator(mesh: Mesh) -> AsyncIterator[Rest]:
    """Whose subscriptions do not outlive the test."""
    rest = Rest(mesh.edges[1], "olga", scope="parley.operator")
    try:
        yield rest
    finally:
        for subscription in (await rest.get("/admin/webhooks"))["subscriptions"]:
            await rest.call("DELETE", f"/admin/webhooks/{subscription['id']}")
        await rest.close()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as started:
        yield started


@pytest.fixture
async def alice(mesh: Mesh, connect: Connect) -> Client:
    return await connect(f"alice-{uuid.uuid4().hex[:8]}", mesh.edges[0])


async def new_chat(alice: Client) -> str:
    made = await alice.rest.post("/chats", {"userId": f"bob-{uuid.uuid4().hex[:8]}"})
    chat_id: str = made["chat"]["id"]
    return chat_id


async def subscribe(operator: Rest, receiver: WebhookReceiver, **wishes: object) -> str:
    made = await operator.post("/admin/webhooks", {"url": receiver.url, **wishes})
    receiver.secrets = [made["signingSecret"]]
    subscription_id: str = made["subscription"]["id"]
    return subscription_id


async def test_a_message_arrives_signed_at_a_subscription(
    operator: Rest, receiver: WebhookReceiver, alice: Client
) -> None:
    chat_id = await new_chat(alice)
    await subscribe(operator, receiver, chatIds=[chat_id], types=["message.created"])
    elsewhere = await new_chat(alice)
    await alice.say(elsewhere, "not for this one")
    ack = await alice.say(chat_id, "grüße 👋")
    (request,) = await receiver.wait_for(1)
    assert request.document["type"] == "message.created"
    told = request.document["data"]
    assert (told["id"], told["chatId"], told["seq"], told["number"]) == (
        ack["messageId"],
        chat_id,
        ack["seq"],
        ack["number"],
    )
    assert (told["senderId"], told["content"], told["createdAt"]) == (
        alice.user_id,
        "grüße 👋",
        ack["createdAt"],
    )
    assert receiver.forged == []


async def test_members_of_a_group_come_and_go(
    operator: Rest, receiver: WebhookReceiver, alice: Client
) -> None:
    bob = f"bob-{uuid.uuid4().hex[:8]}"
    group = (await alice.rest.post("/groups", {"name": "Team"}))["group"]
    await subscribe(
        operator,
        receiver,
        chatIds=[group["id"]],
        actorIds=[alice.user_id],
        types=["chat.members_added", "chat.member_removed"],
    )
    await alice.rest.post(f"/chats/{group['id']}/members", {"userIds": [bob]})
    (added,) = await receiver.wait_for(1)
    assert added.document["type"] == "chat.members_added"
    assert [member["userId"] for member in added.document["data"]["members"]] == [bob]
    await alice.rest.call("DELETE", f"/chats/{group['id']}/members/{bob}")
    (_, removed) = await receiver.wait_for(2)
    assert removed.document["type"] == "chat.member_removed"
    assert removed.document["data"]["userId"] == bob


async def test_what_was_missed_is_looked_up_and_sent_again(
    operator: Rest, receiver: WebhookReceiver, alice: Client
) -> None:
    chat_id = await new_chat(alice)
    subscription_id = await subscribe(operator, receiver, chatIds=[chat_id])
    receiver.replies.append(Reply(410, body="closed"))
    await alice.say(chat_id, "missed")
    (first,) = await receiver.wait_for(1)

    path = f"/admin/webhooks/{subscription_id}"
    while not (failed := (await operator.get(f"{path}/deliveries?outcome=failed"))["deliveries"]):
        pass  # each turn is a request
    assert failed[0]["id"] == first.id
    assert "closed" in failed[0]["detail"]
    (shown,) = (await operator.get("/admin/webhooks"))["subscriptions"]
    assert (shown["enabled"], shown["disabledBecause"]) == (False, failed[0]["detail"])

    opened = await operator.call("PUT", path, {"url": receiver.url, "chatIds": [chat_id]})
    assert opened.json()["subscription"]["enabled"]
    replayed = await operator.call("POST", f"{path}/deliveries/{first.id}/replay")
    assert replayed.status_code == 204, replayed.text
    (_, again) = await receiver.wait_for(2)
    assert (again.id, again.body) == (first.id, first.body)


async def test_users_have_no_say_in_it(alice: Client) -> None:
    refused = await alice.rest.call("GET", "/admin/webhooks")
    assert refused.status_code == 403
