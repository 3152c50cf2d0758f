"""Signed requests on a real socket, to a receiver that verifies them with the reference library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push, PushKind
from notify_service.domain.signature import new_secret
from notify_service.ports import SendDelayedError, SendRefusedError, TargetGoneError
from notify_service.providers.http import open_http
from notify_service.providers.webhook.sender import WebhookClient, WebhookSender
from tests.support.authority import Authority
from tests.support.providers.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CHAT = "65f1a0b2c3d4e5f60718293a"
PUSH = Push(
    kind=PushKind.SHOW,
    chat_id=CHAT,
    badge=3,
    title="Alice",
    body="grüße 👋",
    message_id="65f1a0b2c3d4e5f60718293b",
    sender_id="alice",
    count=1,
    at_ms=1_767_323_045_678,
    delivery_id="65f1a0b2c3d4e5f60718293c",
)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    async with open_http(seconds=10, allow_loopback=True) as http:
        yield WebhookClient(http)


def device(url: str, secret: str) -> Device:
    return Device(
        id="65f1a0b2c3d4e5f60718293d",
        user_id="bob",
        kind=DeviceKind.WEBHOOK,
        address=url,
        label="",
        created_at_ms=0,
        refreshed_at_ms=0,
        signing_secret=secret,
    )


async def test_a_device_of_ones_own_is_told(client: WebhookClient, receiver: WebhookReceiver) -> None:
    secret = new_secret()
    receiver.secrets = [secret]
    receiver.otherwise = Reply(202)
    assert await WebhookSender(client).send(PUSH, device(receiver.url, secret)) == "HTTP 202"
    (request,) = receiver.received
    assert request.id == PUSH.delivery_id
    assert request.headers["content-type"] == "application/json"
    assert request.document["data"]["body"] == "grüße 👋"
    assert receiver.forged == []


async def test_a_repeat_has_the_same_id_and_body(client: WebhookClient, receiver: WebhookReceiver) -> None:
    secret = new_secret()
    receiver.secrets = [secret]
    receiver.replies.append(Reply(503))
    sender = WebhookSender(client)
    with pytest.raises(SendDelayedError):
        await sender.send(PUSH, device(receiver.url, secret))
    await sender.send(PUSH, device(receiver.url, secret))
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)


async def test_with_two_secrets_a_receiver_needs_one(
    client: WebhookClient, receiver: WebhookReceiver
) -> None:
    old, new = new_secret(), new_secret()
    for known in (old, new):
        receiver.secrets = [known]
        assert await client(receiver.url, b"{}", "an-id", (new, old)) == "HTTP 204"
    assert receiver.forged == []


async def test_a_receiver_with_another_secret_is_told_again_later(
    client: WebhookClient, receiver: WebhookReceiver
) -> None:
    receiver.secrets = [new_secret()]
    with pytest.raises(SendDelayedError, match="HTTP 401"):
        await client(receiver.url, b"{}", "an-id", (new_secret(),))
    assert len(receiver.forged) == 1
    assert receiver.received == []


async def test_what_receivers_answer(client: WebhookClient, receiver: WebhookReceiver) -> None:
    secret = new_secret()
    receiver.secrets = [secret]
    elsewhere = f"{receiver.origin}/elsewhere"
    receiver.replies += [
        Reply(410, body="we moved out"),
        Reply(302, {"Location": elsewhere}),
        Reply(429, {"Retry-After": "30"}),
        Reply(500, body="line one\r\nline two\x1b[31m" + "x" * 10_000),
    ]
    with pytest.raises(TargetGoneError, match="we moved out"):
        await client(receiver.url, b"{}", "an-id", (secret,))
    with pytest.raises(SendDelayedError, match="redirects are not followed"):
        await client(receiver.url, b"{}", "an-id", (secret,))
    with pytest.raises(SendDelayedError) as busy:
        await client(receiver.url, b"{}", "an-id", (secret,))
    assert busy.value.retry_after_seconds == 30
    assert busy.value.provider_down, "all that goes there waits, not only this one"
    with pytest.raises(SendDelayedError) as broken:
        await client(receiver.url, b"{}", "an-id", (secret,))
    assert str(broken.value).isprintable()
    assert len(str(broken.value)) < 300
    assert {request.path for request in receiver.received} == {"/hook"}


async def test_one_that_never_answers(receiver: WebhookReceiver) -> None:
    secret = new_secret()
    receiver.secrets = [secret]
    receiver.replies.append(Reply(0))
    async with open_http(seconds=0.5, allow_loopback=True) as http:
        with pytest.raises(SendDelayedError) as silent:
            await WebhookClient(http)(receiver.url, b"{}", "an-id", (secret,))
    assert silent.value.provider_down


async def test_over_tls_with_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    authority, secret = Authority(tmp_path), new_secret()
    async with webhook_receiver(authority.server_context("localhost")) as receiver:
        receiver.secrets = [secret]
        async with open_http(seconds=2, allow_loopback=True, ca_file=authority.ca_file) as trusting:
            assert await WebhookClient(trusting)(receiver.url, b"{}", "an-id", (secret,)) == "HTTP 204"
        async with open_http(seconds=2, allow_loopback=True) as strict:
            with pytest.raises(SendDelayedError, match="certificate"):
                await WebhookClient(strict)(receiver.url, b"{}", "an-id", (secret,))
        assert len(receiver.received) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://10.0.0.1/", "https://[::1]/", "ftp://x/"])
async def test_what_leads_inwards_is_refused(url: str) -> None:
    async with open_http(seconds=2) as http:
        with pytest.raises(SendRefusedError):
            await WebhookClient(http)(url, b"{}", "an-id", (new_secret(),))


async def test_a_secret_that_is_none_is_not_quoted(client: WebhookClient, receiver: WebhookReceiver) -> None:
    with pytest.raises(SendRefusedError) as refused:
        await client(receiver.url, json.dumps({}).encode(), "an-id", ("whsec_tooshort",))
    assert "tooshort" not in str(refused.value)
