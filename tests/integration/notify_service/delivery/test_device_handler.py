"""Pushes to devices in MongoDB: an entry for every attempt, and devices that are gone are forgotten."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mesh.ids import new_object_id
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.device_handler import DeviceDeliveryHandler
from notify_service.delivery.engine import Deliver
from notify_service.delivery.trust import Trust
from notify_service.domain.decision import Policy
from notify_service.domain.delivery import Lane
from notify_service.domain.device import Device, DeviceKind, implicit_log_device
from notify_service.domain.ledger import Outcome
from notify_service.domain.push import Push, PushKind, to_payload
from notify_service.ledger.explain import ExplainNotification
from notify_service.ports import SendDelayedError, TargetGoneError, TargetUnknownError
from tests.integration.notify_service.delivery.deliveries import (
    LIMITS,
    PACE,
    Clock,
    new_deliveries,
    running_engine,
    settled,
    store_at,
)
from tests.integration.notify_service.inbox.scripted_members import ScriptedMembers, last_look_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

    from mesh.mongo import Mongo
    from notify_service.adapters.mongo.deliveries import MongoDeliveries
    from notify_service.domain.delivery import NewDelivery
    from notify_service.domain.ledger import LedgerEntry

MANY = 50


async def take(device: Device) -> str:
    return f"taken for {device.address}"


class ScriptedSender:
    """Reaches every device as a test says."""

    def __init__(self, provider: Callable[[Device], Awaitable[str]] = take) -> None:
        self.does = provider
        self.pushes: list[tuple[Push, Device]] = []

    def provider(self, device: Device) -> str:
        return device.kind.value

    async def send(self, push: Push, device: Device) -> str:
        self.pushes.append((push, device))
        return await self.does(device)


class CountingDevices(MongoDeviceStore):
    """Counts the questions."""

    questions = 0

    async def get_many(self, device_ids: Collection[str]) -> Mapping[str, Device]:
        self.questions += 1
        return await super().get_many(device_ids)


@dataclass
class Setting:
    """A handler with its stores, and an engine that drives it."""

    store: MongoDeliveries
    mongo: Mongo
    deliver: Deliver
    devices: CountingDevices
    ledger: MongoLedger
    sender: ScriptedSender
    clock: Clock = field(default_factory=Clock)

    async def device(self, user_id: str = "bob") -> Device:
        """A new phone."""
        address = f"token {new_object_id()}"
        return await self.devices.register(user_id, DeviceKind.FCM, address, "", self.clock(), keep=MANY)

    def pushes(self, *targets: Device) -> list[NewDelivery]:
        """One message for all of these."""
        [message] = new_deliveries(1, clock=self.clock)
        return [
            replace(
                message,
                key=f"{message.key}:{device.id}",
                provider=device.kind.value,
                target_id=device.id,
                user_id=device.user_id,
                payload=to_payload(Push(PushKind.SHOW, message.chat_id, 1, "Alice", "hello")),
            )
            for device in targets
        ]

    async def explain(self, what: NewDelivery) -> tuple[Outcome | None, str]:
        """What an operator is notified."""

        class Nothing:
            async def is_waiting(self, user_id: str, message_id: str) -> bool:  # noqa: ARG002
                return False

        preferences = MongoPreferenceStore(self.mongo)
        ask = ExplainNotification(Nothing(), self.store, self.ledger, self.devices, preferences)
        found = await ask(what.user_id, what.message_ids[0])
        return found.outcome, found.summary


@asynccontextmanager
async def setting(mongo_url: str, does: Callable[[Device], Awaitable[str]] = take) -> AsyncIterator[Setting]:
    """Everything but the rest of the service."""
    async with store_at(mongo_url) as (store, mongo):
        devices, ledger, sender, clock = (
            CountingDevices(mongo),
            MongoLedger(mongo),
            ScriptedSender(does),
            Clock(),
        )
        senders = {DeviceKind.FCM: sender, DeviceKind.LOG: sender}
        policy = Policy(senders, implicit_log_device=True, idle_ms=300_000)
        last_look = last_look_of(mongo, ScriptedMembers(), policy)
        handler = DeviceDeliveryHandler(devices, senders, ledger, last_look, Trust(BrakeLimits()))
        deliver = Deliver(store, {Lane.DEVICE: handler}, LIMITS, PACE, clock)
        async with running_engine(deliver):
            yield Setting(store, mongo, deliver, devices, ledger, sender, clock)


def shown(entries: list[LedgerEntry]) -> list[tuple[Outcome, str, int]]:
    return [(entry.outcome, entry.detail, entry.attempt) for entry in reversed(entries)]


async def test_every_attempt_has_its_entry(mongo_url: str) -> None:
    busy = True

    async def does(device: Device) -> str:
        if busy:
            raise SendDelayedError("503 Service Unavailable")
        return await take(device)

    async with setting(mongo_url, does) as it:
        device = await it.device()
        [push] = it.pushes(device)
        await it.deliver.add([push])
        while (found := await it.explain(push))[0] is not Outcome.DELAYED:
            pass
        assert "fcm said “503 Service Unavailable”" in found[1]
        busy = False
        it.clock.advance(3)
        await settled(it.mongo, 1)
        entries = await it.ledger.find("bob", push.message_ids[0], 10)
        assert shown(entries) == [
            (Outcome.DELAYED, "503 Service Unavailable", 1),
            (Outcome.SENT, f"taken for {device.address}", 2),
        ]
        [last, _] = entries
        assert (last.device_id, last.kind, last.chat_id) == (device.id, DeviceKind.FCM, push.chat_id)
        assert (await it.explain(push))[0] is Outcome.SENT
        assert {push.delivery_id for push, _ in it.sender.pushes} == {
            str(document["_id"]) async for document in it.mongo.collection("deliveries").find()
        }


async def test_a_device_that_is_gone_is_forgotten_and_the_others_are_told(mongo_url: str) -> None:
    gone: set[str] = set()

    async def does(device: Device) -> str:
        if device.id in gone:
            raise TargetGoneError("404 UNREGISTERED")
        return await take(device)

    async with setting(mongo_url, does) as it:
        old, new = await it.device(), await it.device()
        gone.add(old.id)
        first, second = it.pushes(old, new), it.pushes(old)
        await it.deliver.add(first + second)
        await settled(it.mongo, 3)
        assert [device.id for device in await it.devices.list("bob")] == [new.id]
        entries = await it.ledger.find("bob", first[0].message_ids[0], 10)
        assert {(entry.device_id, entry.outcome) for entry in entries} == {
            (old.id, Outcome.PRUNED),
            (new.id, Outcome.SENT),
        }
        assert (await it.explain(second[0]))[0] is Outcome.PRUNED
        late = it.pushes(old)
        await it.deliver.add(late)
        await settled(it.mongo, 4)
        [entry] = await it.ledger.find("bob", late[0].message_ids[0], 10)
        assert (entry.outcome, entry.detail) == (Outcome.FAILED, "the device was removed")


async def test_a_device_that_came_back_meanwhile_stays(mongo_url: str) -> None:
    async def does(device: Device) -> str:
        it.clock.advance(1)
        await it.devices.register(device.user_id, device.kind, device.address, "", it.clock(), keep=MANY)
        raise TargetGoneError("404 UNREGISTERED")

    async with setting(mongo_url, does) as it:
        device = await it.device()
        [push] = it.pushes(device)
        await it.deliver.add([push])
        await settled(it.mongo, 1)
        assert [each.id for each in await it.devices.list("bob")] == [device.id]
        [entry] = await it.ledger.find("bob", push.message_ids[0], 10)
        assert (entry.outcome, entry.detail) == (
            Outcome.FAILED,
            "404 UNREGISTERED (registered anew since)",
        )


async def test_a_device_that_is_somebody_else_s_by_now_is_not_told(mongo_url: str) -> None:
    async with setting(mongo_url) as it:
        [push] = it.pushes(await it.device("mallory"))
        await it.deliver.add([replace(push, user_id="bob")])
        await settled(it.mongo, 1)
        [entry] = await it.ledger.find("bob", push.message_ids[0], 10)
        assert (entry.outcome, entry.detail) == (Outcome.FAILED, "the device was removed")
        assert it.sender.pushes == []


async def test_what_cannot_be_sent_says_why(mongo_url: str) -> None:
    async with setting(mongo_url) as it:
        phone = await it.devices.register("bob", DeviceKind.APNS, "ab" * 32, "", 1, keep=MANY)
        [no_sender, unreadable] = it.pushes(phone, await it.device())
        await it.deliver.add([no_sender, replace(unreadable, payload=b"\xff")])
        await settled(it.mongo, 2)
        details = {entry.detail for entry in await it.ledger.find("bob", "", 10)}
        assert details == {"this deployment has no sender for apns devices", "the push cannot be read"}


async def test_a_laptop_s_implicit_device_is_told(mongo_url: str) -> None:
    async with setting(mongo_url) as it:
        [push] = it.pushes(implicit_log_device("bob"))
        await it.deliver.add([push])
        await settled(it.mongo, 1)
        [entry] = await it.ledger.find("bob", push.message_ids[0], 10)
        assert (entry.outcome, entry.kind) == (Outcome.SENT, DeviceKind.LOG)
        assert it.devices.questions == 0


async def test_devices_are_looked_up_together(mongo_url: str) -> None:
    async with setting(mongo_url) as it:
        devices = [await it.device(f"user-{number}") for number in range(12)]
        await it.deliver.add(it.pushes(devices[0]))
        await settled(it.mongo, 1)
        before = it.devices.questions
        await it.deliver.add(it.pushes(*devices))
        await settled(it.mongo, 13)
        assert it.devices.questions - before <= 3
        assert len(it.sender.pushes) == 13


async def test_a_wrong_environment_forgets_few_devices_and_loses_no_push(mongo_url: str) -> None:
    wrong = True

    async def does(device: Device) -> str:
        if wrong:
            raise TargetUnknownError("HTTP 400: BadDeviceToken")
        return await take(device)

    async with setting(mongo_url, does) as it:
        devices = [await it.device(f"user-{number}") for number in range(30)]
        with capture_logs() as lines:
            await it.deliver.add(it.pushes(*devices))
            waiting = it.mongo.collection("deliveries")
            words = {"$regex": "BadDeviceToken .too many devices are unknown there"}
            async with asyncio.timeout(30):
                while not await waiting.count_documents({"waiting": True, "detail": words}):
                    await asyncio.sleep(0.02)
        left = [device for device in devices if await it.devices.get_many([device.id])]
        assert len(devices) - len(left) == BrakeLimits().least - 1
        assert [line["provider"] for line in lines if line["event"] == "provider.devices_unknown"] == ["fcm"]
        assert REGISTRY.get_sample_value("parley_provider_brake", {"provider": "fcm"}) == 1

        wrong = False
        async with asyncio.timeout(30):
            while await waiting.count_documents({"waiting": True}):
                it.clock.advance(2)
                await asyncio.sleep(0.05)
        notified = {device.address for _, device in it.sender.pushes}
        assert notified >= {device.address for device in left}
        assert await waiting.count_documents({"outcome": "sent"}) == len(left)
