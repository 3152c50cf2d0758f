"""Messages for people who are not there arrive at their browsers: decrypted, soon, once, whatever breaks."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.topology import NOTIFICATION_SEND
from mesh.clock import now_ms
from parley.common.v1.message_pb2 import Message, MessageType
from parley.events.v1.jobs_pb2 import (
    NewMessage,
    Notification,
    NotificationBatch,
    NotificationType,
    Recipient,
)
from tests.e2e.conftest import IDLE_SECONDS, Connect
from tests.e2e.mesh import Client, Frame, Mesh, Rest
from tests.support.providers.push_endpoint import Browser, PushEndpoint, Reply

MakeRest = Callable[[str], Rest]


@pytest.fixture
async def endpoint() -> AsyncIterator[PushEndpoint]:
    async with PushEndpoint() as started:
        yield started
        assert started.complaints == []


@pytest.fixture
async def alice(mesh: Mesh, connect: Connect) -> Client:
    return await connect(new_name("alice"), mesh.edges[0])


def new_name(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def subscribe(rest: Rest, endpoint: PushEndpoint) -> Browser:
    """A browser of the user, registered as a page would."""
    config = await rest.get("/push-config")
    browser = endpoint.subscribe(config["vapidPublicKey"])
    keys = {"p256dh": browser.p256dh, "auth": browser.auth}
    await rest.post("/devices", {"kind": "web-push", "address": browser.url, "keys": keys})
    return browser


async def talk(alice: Client, user_id: str) -> str:
    """A chat of the two."""
    chat_id: str = (await alice.rest.post("/chats", {"userId": user_id}))["chat"]["id"]
    return chat_id


async def settle(alice: Client, user_id: str, *browsers: Browser) -> None:
    """Returns once a message from somewhere else was shown: what was to come before it has come."""
    carol_chat = (await alice.rest.post("/groups", {"name": "Marker", "memberIds": [user_id]}))["group"]["id"]
    await alice.say(carol_chat, "marker")
    for browser in browsers:
        await until_shown(browser, carol_chat)


async def until_shown(browser: Browser, chat_id: str, count: int = 1) -> list[Frame]:
    """What the browser was told of the chat, once it is so much."""
    await browser._endpoint.until(lambda: len(told(browser, chat_id)) >= count, 30)
    return told(browser, chat_id)


def told(browser: Browser, chat_id: str) -> list[Frame]:
    return [push.payload for push in browser.taken if push.payload["chatId"] == chat_id]


async def test_a_message_arrives_decrypted_and_once(
    alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob = new_name("bob")
    browser, chat_id = await subscribe(rest(bob), endpoint), await talk(alice, bob)
    sent = await alice.say(chat_id, "are you there?")
    await browser.pushes(1)
    await settle(alice, bob, browser)
    (payload,) = told(browser, chat_id)
    assert payload["type"] == "show"
    assert (payload["title"], payload["body"]) == (alice.user_id.title(), "are you there?")
    assert (payload["messageId"], payload["count"], payload["badge"]) == (sent["messageId"], 1, 1)


async def test_who_looks_at_the_chat_is_not_told(
    mesh: Mesh, alice: Client, connect: Connect, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    name = new_name("bob")
    browser = await subscribe(rest(name), endpoint)
    bob = await connect(name, mesh.edges[1])
    chat_id = await talk(alice, name)
    await bob.wait_for("chat-created")
    sent = await alice.say(chat_id, "you see it")
    ledger = mesh.database("parley_notify").ledger
    async with asyncio.timeout(30):
        while not (entry := ledger.find_one({"users": name})):
            await asyncio.sleep(0.05)
    assert entry["detail"] == "active"
    assert [str(message) for message in entry["messages"]] == [sent["messageId"]]
    assert browser.requests == []


async def test_two_devices_are_told_and_reading_clears_both(
    mesh: Mesh, alice: Client, connect: Connect, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    name = new_name("bob")
    phone, laptop = [await subscribe(rest(name), endpoint) for _ in range(2)]
    chat_id = await talk(alice, name)
    await alice.say(chat_id, "hello")
    for browser in (phone, laptop):
        (shown,) = await until_shown(browser, chat_id)
        assert shown["type"] == "show"

    bob = await connect(name, mesh.edges[1])
    assert (await bob.ask("mark-chat-read", {"chatId": chat_id}))["event"] == "ack"
    for browser in (phone, laptop):
        _, cleared = await until_shown(browser, chat_id, 2)
        assert (cleared["type"], cleared["badge"]) == ("clear", 0)


async def test_a_burst_of_fifty_is_one_notification(
    alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob = new_name("bob")
    browser, chat_id = await subscribe(rest(bob), endpoint), await talk(alice, bob)
    acks = await asyncio.gather(*(alice.say(chat_id, f"text {number}") for number in range(50)))
    await until_shown(browser, chat_id)
    await settle(alice, bob, browser)
    (payload,) = told(browser, chat_id)
    last = max(acks, key=lambda ack: ack["seq"])
    assert (payload["count"], payload["badge"], payload["messageId"]) == (50, 50, last["messageId"])
    assert payload["body"].startswith("50 new messages: text ")


async def test_a_job_that_comes_again_tells_nobody_again(
    mesh: Mesh, alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob = new_name("bob")
    browser, chat_id = await subscribe(rest(bob), endpoint), await talk(alice, bob)
    sent = await alice.say(chat_id, "once")
    again = NewMessage(
        type=NotificationType.NOTIFICATION_TYPE_DIRECT_MESSAGE,
        message=Message(
            id=sent["messageId"],
            chat_id=chat_id,
            seq=sent["seq"],
            number=sent["number"],
            sender_id=alice.user_id,
            type=MessageType.MESSAGE_TYPE_TEXT,
            content="once",
            created_at_ms=now_ms(),
        ),
        recipients=[Recipient(user_id=bob)],
    )
    body = NotificationBatch(notifications=[Notification(new_message=again)]).SerializeToString()
    async with Broker(SecretStr(mesh.rabbitmq.url), name="test") as broker:
        await broker.session()
        await broker.publish(NOTIFICATION_SEND, body)  # perhaps before the delay is over
        await until_shown(browser, chat_id)
        for _ in range(2):
            await broker.publish(NOTIFICATION_SEND, body)
    await settle(alice, bob, browser)
    assert len(told(browser, chat_id)) == 1


async def test_a_provider_that_is_down_for_a_while_loses_nothing(
    mesh: Mesh, alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob = new_name("bob")
    browser = await subscribe(rest(bob), endpoint)
    await endpoint.stop()
    chats = [
        (await alice.rest.post("/groups", {"name": f"Group {number}", "memberIds": [bob]}))["group"]["id"]
        for number in range(5)
    ]
    for chat_id in chats:
        await alice.say(chat_id, "while it was down")
    ledger = mesh.database("parley_notify").ledger
    async with asyncio.timeout(30):
        while ledger.count_documents({"users": bob, "outcome": "delayed"}) < len(chats):
            await asyncio.sleep(0.05)
    await endpoint.start()
    for chat_id in chats:
        assert len(await until_shown(browser, chat_id)) == 1


async def test_what_waits_is_told_by_the_next_process_when_one_is_killed(
    mesh: Mesh, alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob = new_name("bob")
    browser, chat_id = await subscribe(rest(bob), endpoint), await talk(alice, bob)
    await alice.say(chat_id, "hold on")
    inbox = mesh.database("parley_notify").inbox
    async with asyncio.timeout(30):
        while not inbox.find_one({"userId": bob, "waiting": {"$exists": True}}):
            await asyncio.sleep(0.01)
    mesh.notify.process.kill()
    assert browser.taken == []
    await mesh.notify.restart()
    await until_shown(browser, chat_id)
    await settle(alice, bob, browser)
    assert len(told(browser, chat_id)) == 1


async def test_a_mention_comes_through_a_muted_group(
    alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    name = new_name("bob")
    bob = rest(name)
    browser = await subscribe(bob, endpoint)
    group = (await alice.rest.post("/groups", {"name": "Noise", "memberIds": [name]}))["group"]["id"]
    assert (await bob.call("PUT", f"/chats/{group}/mute", {})).status_code == 204
    await alice.say(group, "chatter")
    mention = {
        "chatId": group,
        "content": f"@{name}!",
        "type": "text",
        "clientMsgId": "m1",
        "mentions": [name],
    }
    reply = await alice.ask("send-message", mention)
    assert reply["event"] == "ack", reply
    (payload,) = await until_shown(browser, group)
    assert payload["title"] == f"{alice.user_id.title()} · Noise"
    assert payload["body"] == f"2 new messages: @{name}!"


async def test_who_is_connected_and_does_nothing_is_told(
    mesh: Mesh, alice: Client, connect: Connect, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    name = new_name("bob")
    browser, chat_id = await subscribe(rest(name), endpoint), await talk(alice, name)
    bob = await connect(name, mesh.edges[1])
    connected = time.monotonic()
    said = 0
    async with asyncio.timeout(IDLE_SECONDS + 20):
        while not told(browser, chat_id):
            said += 1
            await alice.say(chat_id, f"text {said}")
            await bob.wait_for("new-message", said, chatId=chat_id)
            await asyncio.sleep(1.2)  # longer than the silence after which a chat is told
    assert time.monotonic() - connected > IDLE_SECONDS
    assert browser.taken[0].payload["title"] == alice.user_id.title()


async def test_who_is_removed_keeps_nothing_on_the_screen_and_gets_nothing_that_waited(
    mesh: Mesh, alice: Client, rest: MakeRest, endpoint: PushEndpoint
) -> None:
    bob, eve = new_name("bob"), new_name("eve")
    ledger = mesh.database("parley_notify").ledger
    async with PushEndpoint() as busy:
        busy.otherwise = Reply(503)
        browser, late = await subscribe(rest(bob), endpoint), await subscribe(rest(eve), busy)
        group = await alice.rest.post("/groups", {"name": "Crew", "memberIds": [bob, eve]})
        chat_id = group["group"]["id"]
        sent = await alice.say(chat_id, "for members alone")
        await until_shown(browser, chat_id)
        await busy.until(lambda: len(late.requests) >= 1, 30)
        for name in (bob, eve):
            response = await alice.rest.call("DELETE", f"/chats/{chat_id}/members/{name}")
            assert response.status_code == 204, response.text
        busy.otherwise = Reply()
        cleared = (await until_shown(browser, chat_id, 2))[1]
        assert (cleared["type"], cleared["badge"]) == ("clear", 0)
        async with asyncio.timeout(30):
            while not ledger.find_one({"users": eve, "outcome": "suppressed", "detail": "not-a-member"}):
                await asyncio.sleep(0.05)
        assert [push["type"] for push in told(late, chat_id) if push["type"] == "show"] == []
    why = ledger.find_one({"users": bob, "outcome": "cleared"})
    assert why is not None
    assert why["detail"] == "not-a-member"
    assert [str(message) for message in why["messages"]] == [sent["messageId"]]
