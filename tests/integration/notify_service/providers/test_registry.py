"""Which senders there are, by the settings, and that they reach whom the settings name."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from mesh.lifecycle import Lifecycle
from notify_service.delivery.engine import Pace
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.push import Push, PushKind
from notify_service.ports import SendDelayedError
from notify_service.providers.context import ProviderContext
from notify_service.providers.registry import open_senders
from notify_service.providers.smtp.mailer import open_mailer
from notify_service.settings import NotifySettings
from tests.support.providers.apns_server import KEY_ID, TEAM_ID, TOPIC, ApnsServer
from tests.support.providers.fcm_server import FcmServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from notify_service.ports import Sender
    from tests.support.authority import Authority

PUSH = Push(PushKind.SHOW, "65f000000000000000000001", badge=1, title="Ann", body="hello", count=1)


class NoKeys:
    """The store of the key for Web Push, which these tests do not come to."""

    async def find(self, name: str) -> bytes | None:
        raise NotImplementedError(name)

    async def add(self, name: str, secret: bytes) -> bool:
        raise NotImplementedError(name)


def settings_with(**fields: Any) -> NotifySettings:
    return NotifySettings(
        service_secret=SecretStr("s" * 32),
        amqp_url=SecretStr("amqp://127.0.0.1/"),
        mongo_url=SecretStr("mongodb://127.0.0.1/"),
        **fields,
    )


@asynccontextmanager
async def senders(**fields: Any) -> AsyncIterator[Mapping[DeviceKind, Sender]]:
    settings = settings_with(**fields)
    life = Lifecycle()
    try:
        yield open_senders(await ProviderContext.open(settings, life, NoKeys()))
    finally:
        await life.close(5.0)


def device(kind: DeviceKind, address: str) -> Device:
    return Device("1" * 24, "bob", kind, address, "phone", created_at_ms=1_000, refreshed_at_ms=5_000)


async def test_a_sender_without_credentials_is_left_out_with_one_line() -> None:
    with capture_logs() as logs:
        async with senders() as made:
            assert DeviceKind.FCM not in made
            assert DeviceKind.APNS not in made

    notified = [(line["kind"], line["missing"]) for line in logs if line["event"] == "notify.sender_disabled"]
    assert notified.count(("fcm", "PARLEY_NOTIFY_FCM_CREDENTIALS_FILE")) == 1
    assert notified.count(("apns", "PARLEY_NOTIFY_APNS_KEY_FILE")) == 1


async def test_both_reach_whom_the_settings_name(authority: Authority, tmp_path: Path) -> None:
    async with (
        FcmServer().listen(authority) as fcm,
        ApnsServer().listen(authority) as apns,
        senders(
            notify_ca_file=authority.ca_file,
            notify_fcm_credentials_file=fcm.write_credentials(tmp_path),
            notify_fcm_url=fcm.url,
            notify_apns_key_file=apns.write_key(tmp_path),
            notify_apns_key_id=KEY_ID,
            notify_apns_team_id=TEAM_ID,
            notify_apns_topic=TOPIC,
            notify_apns_url=apns.url,
            notify_push_expire_seconds=60,
        ) as made,
    ):
        android, apple = device(DeviceKind.FCM, "dMd8:APA91b"), device(DeviceKind.APNS, "ab" * 32)
        await made[DeviceKind.FCM].send(PUSH, android)
        await made[DeviceKind.APNS].send(PUSH, apple)

        assert fcm.messages[0]["token"] == android.address
        assert fcm.messages[0]["android"]["ttl"] == "60s"
        assert apns.pushed[0].token == apple.address
        assert (made[DeviceKind.FCM].provider(android), made[DeviceKind.APNS].provider(apple)) == (
            "fcm",
            "apns",
        )


async def test_a_provider_with_a_certificate_that_nobody_vouches_for_gets_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    async with ApnsServer().listen(authority) as apns:
        fields = {
            "notify_apns_key_file": apns.write_key(tmp_path),
            "notify_apns_key_id": KEY_ID,
            "notify_apns_team_id": TEAM_ID,
            "notify_apns_topic": TOPIC,
            "notify_apns_url": apns.url,
        }
        async with senders(**fields) as made:
            with pytest.raises(SendDelayedError, match=r"(?i)certificate"):
                await made[DeviceKind.APNS].send(PUSH, device(DeviceKind.APNS, "ab" * 32))

    assert not apns.http.requests


async def test_whoever_is_asked_has_the_whole_time_that_the_setting_names(
    authority: Authority, tmp_path: Path
) -> None:
    async with silent_server() as port:
        settings = settings_with(
            notify_send_seconds=0.3,
            notify_allow_loopback=True,
            notify_ca_file=authority.ca_file,
            notify_apns_key_file=ApnsServer().write_key(tmp_path),
            notify_apns_key_id=KEY_ID,
            notify_apns_team_id=TEAM_ID,
            notify_apns_topic=TOPIC,
            notify_apns_url=f"https://127.0.0.1:{port}",
            notify_smtp_host="127.0.0.1",
            notify_smtp_port=port,
            notify_smtp_from="Parley <chat@example.com>",
        )
        life = Lifecycle()
        try:
            context = await ProviderContext.open(settings, life, NoKeys())
            made = open_senders(context)
            mailer = await open_mailer(settings, life)
            assert mailer is not None
            letter = EmailMessage()
            letter["From"], letter["To"] = "Parley <chat@example.com>", "bob@example.org"
            for asked in (
                context.guarded.post(f"http://127.0.0.1:{port}/", b"{}", {}),
                made[DeviceKind.APNS].send(PUSH, device(DeviceKind.APNS, "ab" * 32)),
                mailer.send(letter),
            ):
                with pytest.raises(SendDelayedError, match=r"no answer within 0\.3 s$"):
                    await asked
        finally:
            await life.close(5.0)


def test_an_attempt_lasts_longer_than_its_provider_may_take() -> None:
    pace = Pace.answering_within(10.0)
    assert pace.send_seconds > 10.0
    assert pace.send_seconds + pace.lease_margin_seconds == 30.0, "as docs/notifications.md says"


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes connections and never says a word."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in taken:
            writer.close()
