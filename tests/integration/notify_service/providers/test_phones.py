"""Pushes to phones: from what the store holds, through the engine, to what Firebase and APNs took."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mesh.ids import new_object_id
from mesh.lifecycle import Lifecycle
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.keys import MongoKeyStore
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.device_handler import DeviceDeliveryHandler
from notify_service.delivery.engine import Deliver
from notify_service.delivery.trust import Trust
from notify_service.domain.decision import Policy
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import Outcome
from notify_service.domain.push import Push, PushKind, to_payload
from notify_service.providers.context import ProviderContext
from notify_service.providers.registry import open_senders
from notify_service.settings import NotifySettings
from tests.integration.notify_service.delivery.deliveries import LIMITS, PACE, Clock, settled, store_at
from tests.integration.notify_service.inbox.scripted_members import ScriptedMembers, last_look_of
from tests.support.providers.apns_server import KEY_ID, TEAM_ID, TOPIC, ApnsServer, refusal
from tests.support.providers.fcm_server import FcmServer
from tests.support.providers.http2_server import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mesh.mongo import Mongo
    from tests.support.authority import Authority

ANDROID, IPHONE = "dMd8:APA91b-{}", "{:064x}"


@dataclass(frozen=True)
class Pushing:
    """An engine that runs, with what it takes to give it work and to look at what became of it."""

    deliver: Deliver
    mongo: Mongo
    devices: MongoDeviceStore
    ledger: MongoLedger
    clock: Clock

    async def register(self, kind: DeviceKind, address: str) -> Device:
        return await self.devices.register("bob", kind, address, "phone", self.clock(), keep=50)

    async def push(self, device: Device, message_id: str = "") -> None:
        at_ms = self.clock()
        push = Push(
            PushKind.SHOW,
            chat_id=new_object_id(),
            badge=1,
            title="Ann",
            body="hello",
            message_id=message_id,
            sender_id="ann",
            count=1,
            at_ms=at_ms,
        )
        new = NewDelivery(
            key=new_object_id(),
            lane=Lane.DEVICE,
            provider=device.kind.value,
            target_id=device.id,
            payload=to_payload(push),
            created_at_ms=at_ms,
            expires_at_ms=at_ms + 86_400_000,
            user_id=device.user_id,
            chat_id=push.chat_id,
            message_ids=(message_id,) if message_id else (),
        )
        await self.deliver.add([new])

    async def tried(self, outcome: Outcome) -> None:
        """Returns once an attempt has ended like this."""
        async with asyncio.timeout(30):
            while not await self.mongo.collection("ledger").count_documents({"outcome": outcome.value}):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def pushing(
    mongo_url: str, authority: Authority, directory: Path, fcm: FcmServer, apns: ApnsServer
) -> AsyncIterator[Pushing]:
    settings = NotifySettings(
        service_secret=SecretStr("s" * 32),
        amqp_url=SecretStr("amqp://127.0.0.1/"),
        mongo_url=SecretStr(mongo_url),
        notify_send_seconds=PACE.send_seconds,
        notify_ca_file=authority.ca_file,
        notify_fcm_credentials_file=fcm.write_credentials(directory),
        notify_fcm_url=fcm.url,
        notify_apns_key_file=apns.write_key(directory),
        notify_apns_key_id=KEY_ID,
        notify_apns_team_id=TEAM_ID,
        notify_apns_topic=TOPIC,
        notify_apns_url=apns.url,
    )
    life, clock = Lifecycle(), Clock()
    async with store_at(mongo_url) as (store, mongo):
        senders = open_senders(await ProviderContext.open(settings, life, MongoKeyStore(mongo)))
        devices, ledger = MongoDeviceStore(mongo), MongoLedger(mongo)
        policy = Policy(senders, implicit_log_device=False, idle_ms=300_000)
        handler = DeviceDeliveryHandler(
            devices, senders, ledger, last_look_of(mongo, ScriptedMembers(), policy), Trust(BrakeLimits())
        )
        deliver = Deliver(store, {Lane.DEVICE: handler}, replace(LIMITS, max_probe_seconds=0.05), PACE, clock)
        life.supervise("deliver", deliver.run)
        try:
            yield Pushing(deliver, mongo, devices, ledger, clock)
        finally:
            await life.close(5.0)


async def test_every_phone_of_a_user_is_told_once(
    mongo_url: str, authority: Authority, tmp_path: Path
) -> None:
    async with (
        FcmServer().listen(authority) as fcm,
        ApnsServer().listen(authority) as apns,
        pushing(mongo_url, authority, tmp_path, fcm, apns) as work,
    ):
        android = await work.register(DeviceKind.FCM, ANDROID.format(1))
        iphone = await work.register(DeviceKind.APNS, IPHONE.format(1))
        message_id = new_object_id()
        await work.push(android, message_id)
        await work.push(iphone, message_id)
        await settled(work.mongo, 2)

        assert [message["token"] for message in fcm.messages] == [android.address]
        assert [pushed.token for pushed in apns.pushed] == [iphone.address]
        entries = await work.ledger.find("bob", message_id, 10)
        assert {(entry.device_id, entry.outcome, entry.detail) for entry in entries} == {
            (android.id, Outcome.SENT, "0:1"),
            (iphone.id, Outcome.SENT, apns.pushed[0].receipt),
        }


async def test_phones_without_the_app_are_forgotten(
    mongo_url: str, authority: Authority, tmp_path: Path
) -> None:
    async with (
        FcmServer().listen(authority) as fcm,
        ApnsServer().listen(authority) as apns,
        pushing(mongo_url, authority, tmp_path, fcm, apns) as work,
    ):
        gone = await work.register(DeviceKind.APNS, IPHONE.format(1))
        stays = await work.register(DeviceKind.APNS, IPHONE.format(2))
        apns.gone[gone.address] = refusal(410, "Unregistered", timestamp=gone.refreshed_at_ms + 1)
        message_id = new_object_id()
        await work.push(gone, message_id)
        await work.push(stays)
        await settled(work.mongo, 2)

        assert await work.devices.list("bob") == [stays]
        (entry,) = await work.ledger.find("bob", message_id, 10)
        assert (entry.outcome, entry.detail) == (Outcome.PRUNED, "HTTP 410: Unregistered")


async def test_a_provider_that_is_down_for_a_while_loses_none(
    mongo_url: str, authority: Authority, tmp_path: Path
) -> None:
    apns = ApnsServer()
    async with apns.listen(authority):
        pass  # it has a port now, where nobody listens
    async with (
        FcmServer().listen(authority) as fcm,
        pushing(mongo_url, authority, tmp_path, fcm, apns) as work,
    ):
        phones = [await work.register(DeviceKind.APNS, IPHONE.format(number)) for number in range(20)]
        for phone in phones:
            await work.push(phone)
        await work.tried(outcome=Outcome.DELAYED)
        # The other provider does not wait for it.
        await work.push(await work.register(DeviceKind.FCM, ANDROID.format(1)))
        await work.tried(outcome=Outcome.SENT)

        async with apns.listen(authority):
            apns.script(Fault.CUT, refusal(503, "ServiceUnavailable"))
            async with asyncio.timeout(30):
                while await work.mongo.collection("deliveries").count_documents({"waiting": True}):
                    work.clock.advance(10)
                    await asyncio.sleep(0.02)

        assert sorted(pushed.token for pushed in apns.pushed) == [phone.address for phone in phones]
        assert len(fcm.messages) == 1
