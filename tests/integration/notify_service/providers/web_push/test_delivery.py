"""Pushes to browsers: from a job in the queue, through the whole service, to what browsers could read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from mesh.ids import new_object_id
from parley.notify.v1 import notify_service_pb2 as pb
from tests.integration.notify_service.conftest import Service, job, new_user, read, running
from tests.support.polling import eventually
from tests.support.providers.push_endpoint import Browser, PushEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.authority import Authority


@pytest.fixture
async def endpoint(authority: Authority) -> AsyncIterator[PushEndpoint]:
    async with PushEndpoint(authority.server_context()) as started:
        yield started


@pytest.fixture
async def service(amqp_url: str, mongo_url: str, authority: Authority) -> AsyncIterator[Service]:
    trusting = {"notify_allow_loopback": True, "notify_ca_file": authority.ca_file}
    async with running(amqp_url, mongo_url, env="production", **trusting) as started:
        yield started


async def register(service: Service, endpoint: PushEndpoint, user: str) -> Browser:
    """A browser that subscribed with the key that the service names."""
    config = await service.stub.GetPushConfig(pb.GetPushConfigRequest())
    browser = endpoint.subscribe(config.vapid_public_key)
    await service.stub.RegisterDevice(
        pb.RegisterDeviceRequest(
            user_id=user,
            kind=pb.DEVICE_KIND_WEB_PUSH,
            address=browser.url,
            web_push_keys=pb.WebPushKeys(p256dh=browser.p256dh, auth=browser.auth),
        )
    )
    return browser


async def test_each_browser_gets_a_message_once(service: Service, endpoint: PushEndpoint) -> None:
    user, chat, other_chat = new_user(), new_object_id(), new_object_id()
    browsers = [await register(service, endpoint, user) for _ in range(2)]
    message = job(user, chat_id=chat, content="hello")
    await service.publish(message)
    for browser in browsers:
        (push,) = await browser.pushes(1)
        assert push.payload["type"] == "show"
        assert (push.payload["title"], push.payload["body"]) == ("Alice", "hello")
        assert (push.payload["chatId"], push.payload["badge"], push.payload["count"]) == (chat, 7, 1)
    # Delivered again, it is not notified again: what comes next is the other chat's.
    await service.publish(message, job(user, chat_id=other_chat))
    for browser in browsers:
        pushes = await browser.pushes(2)
        assert [push.payload["chatId"] for push in pushes] == [chat, other_chat]
    assert endpoint.complaints == []


async def test_what_is_read_elsewhere_is_cleared(service: Service, endpoint: PushEndpoint) -> None:
    user, chat = new_user(), new_object_id()
    browser = await register(service, endpoint, user)
    await service.publish(job(user, chat_id=chat, seq=5))
    await browser.pushes(1)
    await service.publish(read(user, chat, 5))
    shown, cleared = await browser.pushes(2)
    assert cleared.payload["type"] == "clear"
    assert cleared.payload["chatId"] == chat
    assert cleared.headers["topic"] == shown.headers["topic"]


async def test_a_push_service_that_is_down_for_a_while_loses_none(
    service: Service, endpoint: PushEndpoint
) -> None:
    users = [new_user() for _ in range(5)]
    browsers = [await register(service, endpoint, user) for user in users]
    message_id = new_object_id()
    await endpoint.stop()
    await service.publish(job(*users, id=message_id))

    async def tried() -> bool | None:
        entries = await service.ledger(message_id=message_id)
        return True if {user for entry in entries for user in entry.user_ids} == set(users) else None

    await eventually(tried)
    await endpoint.start()
    for browser in browsers:
        assert len(await browser.pushes(1, seconds=30)) == 1
    for user in users:
        sent, *before = await eventually(partial(notified, service, user, message_id))
        assert sent.outcome == pb.OUTCOME_SENT
        assert {entry.outcome for entry in before} == {pb.OUTCOME_DELAYED}
        assert "no answer" in before[-1].detail


async def notified(service: Service, user: str, message_id: str) -> list[pb.LedgerEntry] | None:
    entries = await service.ledger(user_id=user, message_id=message_id)
    return entries if any(entry.outcome == pb.OUTCOME_SENT for entry in entries) else None


async def test_a_browser_that_unsubscribed_is_forgotten(service: Service, endpoint: PushEndpoint) -> None:
    user = new_user()
    gone, stays = [await register(service, endpoint, user) for _ in range(2)]
    gone.gone = True
    await service.publish(job(user))
    await stays.pushes(1)

    async def devices() -> list[str] | None:
        answer = await service.stub.ListDevices(pb.ListDevicesRequest(user_id=user))
        return [device.address for device in answer.devices] if len(answer.devices) < 2 else None

    assert await eventually(devices) == [stays.url]
    outcomes = {entry.outcome for entry in await service.settled(2, user_id=user)}
    assert outcomes == {pb.OUTCOME_SENT, pb.OUTCOME_PRUNED}
