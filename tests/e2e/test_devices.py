"""Devices and preferences of users, and what operators see, through the whole mesh."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.e2e.conftest import Connect
from tests.e2e.mesh import WAIT_SECONDS, Frame, Mesh, Rest

MakeRest = Callable[[str], Rest]


@pytest.fixture
async def operator(mesh: Mesh) -> AsyncIterator[Rest]:
    async with AsyncExitStack() as stack:
        rest = Rest(mesh.edges[1], "olga", scope="openid parley.operator")
        stack.push_async_callback(rest.close)
        yield rest


def new_name(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def browser() -> Frame:
    """What a page registers."""
    public = generate_private_key(SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {
        "p256dh": base64.urlsafe_b64encode(point).decode(),
        "auth": base64.urlsafe_b64encode(bytes(16)).decode(),
    }
    # Nothing listens there: no push of this test goes anywhere.
    return {"kind": "web-push", "address": f"https://127.0.0.1:9/{uuid.uuid4().hex}", "keys": keys}


async def test_a_browser_is_registered_moves_to_another_user_and_is_removed(rest: MakeRest) -> None:
    ada, bob, subscription = rest(new_name("ada")), rest(new_name("bob")), browser()
    config = await ada.get("/push-config")
    assert {"web-push", "log"} <= set(config["kinds"])
    assert len(base64.urlsafe_b64decode(config["vapidPublicKey"] + "=")) == 65
    device = (await ada.post("/devices", {**subscription, "label": "laptop"}))["device"]
    again = (await ada.post("/devices", {**subscription, "label": "old laptop"}))["device"]
    assert (again["id"], again["label"]) == (device["id"], "old laptop")
    assert [one["id"] for one in (await ada.get("/devices"))["devices"]] == [device["id"]]

    moved = (await bob.post("/devices", subscription))["device"]
    assert (await ada.get("/devices"))["devices"] == []
    assert (await ada.call("DELETE", f"/devices/{moved['id']}")).status_code == 404
    assert (await bob.call("DELETE", f"/devices/{moved['id']}")).status_code == 204
    assert (await bob.get("/devices"))["devices"] == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"kind": "web-push", "address": "https://169.254.169.254/"}, "address"),
        ({"kind": "web-push", "address": "https://10.0.0.1/"}, "address"),
        ({"kind": "web-push", "address": "https://push.example/"}, "keys: is not set"),
        (
            {
                "kind": "web-push",
                "address": "https://push.example/",
                "keys": {"p256dh": "BA", "auth": "AA"},
            },
            "keys.p256dh: must have 65 bytes",
        ),
        ({"kind": "fcm", "address": "token"}, "no sender for fcm"),
        ({"kind": "email", "address": "ada@example.com"}, "back end"),
    ],
)
async def test_what_cannot_be_registered_is_told(rest: MakeRest, body: Frame, told: str) -> None:
    response = await rest(new_name("ada")).call("POST", "/devices", body)
    assert response.status_code == 400, response.text
    assert told in response.json()["error"]["message"]


async def test_preferences_that_cannot_be_are_told_by_the_names_in_the_body(rest: MakeRest) -> None:
    ada = rest(new_name("ada"))
    wanted = (await ada.get("/notification-preferences"))["preferences"]
    for hours, told in (
        ({"start": "22:00", "end": "07:00", "timeZone": "Mars/Olympus"}, "quietHours.timeZone: "),
        ({"start": "22:00", "end": "22:00", "timeZone": "UTC"}, "quietHours.end: "),
    ):
        response = await ada.call("PUT", "/notification-preferences", {**wanted, "quietHours": hours})
        assert response.status_code == 400, response.text
        assert response.json()["error"]["message"].startswith(told)
    assert (await ada.get("/notification-preferences"))["preferences"] == wanted


async def test_a_muted_chat_is_not_told_of_and_operators_see_why(
    mesh: Mesh, connect: Connect, rest: MakeRest, operator: Rest
) -> None:
    alice = await connect(new_name("alice"), mesh.edges[0])
    bob_id = new_name("bob")
    bob = rest(bob_id)
    chat_id = (await alice.rest.post("/chats", {"userId": bob_id}))["chat"]["id"]
    assert (
        await bob.call("PUT", f"/chats/{chat_id}/mute", {"until": "2199-01-01T00:00:00Z"})
    ).status_code == 204
    preferences = (await bob.get("/notification-preferences"))["preferences"]
    assert preferences["mutedChats"] == [{"chatId": chat_id, "until": "2199-01-01T00:00:00.000Z"}]

    sent = await alice.say(chat_id, "are you there?")
    question = f"/admin/notifications/explain?userId={bob_id}&messageId={sent['messageId']}"
    async with asyncio.timeout(WAIT_SECONDS):
        while (explanation := await operator.get(question))["outcome"] in {None, "pending"}:
            await asyncio.sleep(0.05)
    assert explanation["outcome"] == "suppressed", explanation
    assert explanation["entries"][-1]["detail"] == "muted"
    assert explanation["preferences"] == preferences
    (entry,) = (await operator.get(f"/admin/notifications?messageId={sent['messageId']}"))["entries"]
    assert entry["userIds"] == [bob_id]
    assert (await bob.call("GET", question)).status_code == 403

    assert (await bob.call("DELETE", f"/chats/{chat_id}/mute")).status_code == 204
    preferences = (await bob.get("/notification-preferences"))["preferences"]
    assert preferences["mutedChats"] == []
    preferences |= {
        "enabled": False,
        "quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Asia/Tokyo"},
    }
    assert (await bob.call("PUT", "/notification-preferences", preferences)).json()[
        "preferences"
    ] == preferences
    assert (await bob.get("/notification-preferences"))["preferences"] == preferences
