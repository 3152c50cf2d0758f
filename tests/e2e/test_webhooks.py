"""What happens in chats reaches the servers of integrators, signed; and so do users' own notifications."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from mesh.rpc.channel import open_channel
from parley.notify.v1 import notify_service_pb2 as pb
from parley.notify.v1.notify_service_pb2_grpc import NotifyServiceStub
from tests.e2e.conftest import Connect
from tests.e2e.mesh import SERVICE_SECRET, Client, Mesh, Rest
from tests.support.providers.webhook_receiver import WAIT_SECONDS, Reply, WebhookReceiver, webhook_receiver


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
    async with asyncio.timeout(WAIT_SECONDS):
        while not (failed := (await operator.get(f"{path}/deliveries?outcome=failed"))["deliveries"]):
            await asyncio.sleep(0.02)
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


@pytest.fixture
async def notify(mesh: Mesh) -> AsyncIterator[NotifyServiceStub]:
    """As the customer's back end calls it, which alone may register webhooks as devices."""
    async with open_channel(
        f"127.0.0.1:{mesh.notify.port}", caller="edge", callee="notify", secret=SecretStr(SERVICE_SECRET)
    ) as channel:
        yield NotifyServiceStub(channel)


async def test_a_device_of_ones_own_is_told_and_cleared(
    mesh: Mesh, connect: Connect, receiver: WebhookReceiver, alice: Client, notify: NotifyServiceStub
) -> None:
    bob = f"bob-{uuid.uuid4().hex[:8]}"
    made = await notify.RegisterDevice(
        pb.RegisterDeviceRequest(user_id=bob, kind=pb.DEVICE_KIND_WEBHOOK, address=receiver.url)
    )
    receiver.secrets = [made.signing_secret]
    chat_id: str = (await alice.rest.post("/chats", {"userId": bob}))["chat"]["id"]
    ack = await alice.say(chat_id, "are you there?")
    (shown,) = await receiver.wait_for(1)
    assert shown.document["type"] == "notification.show"
    told = shown.document["data"]
    assert (told["userId"], told["chatId"], told["messageId"]) == (bob, chat_id, ack["messageId"])
    assert (told["body"], told["count"], told["badge"]) == ("are you there?", 1, 1)

    reader = await connect(bob, mesh.edges[1])
    await reader.ask("mark-chat-read", {"chatId": chat_id})
    (_, cleared) = await receiver.wait_for(2)
    assert cleared.document["type"] == "notification.clear"
    assert cleared.document["data"] == {"userId": bob, "chatId": chat_id, "badge": 0}
    assert cleared.id != shown.id


async def test_a_device_that_is_gone_is_forgotten(
    receiver: WebhookReceiver, alice: Client, notify: NotifyServiceStub
) -> None:
    bob = f"bob-{uuid.uuid4().hex[:8]}"
    made = await notify.RegisterDevice(
        pb.RegisterDeviceRequest(user_id=bob, kind=pb.DEVICE_KIND_WEBHOOK, address=receiver.url)
    )
    receiver.secrets = [made.signing_secret]
    receiver.otherwise = Reply(410)
    chat_id: str = (await alice.rest.post("/chats", {"userId": bob}))["chat"]["id"]
    await alice.say(chat_id, "hello?")
    await receiver.wait_for(1)
    async with asyncio.timeout(WAIT_SECONDS):
        while (await notify.ListDevices(pb.ListDevicesRequest(user_id=bob))).devices:
            await asyncio.sleep(0.02)
