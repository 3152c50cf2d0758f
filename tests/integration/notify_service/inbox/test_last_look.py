"""A push that had to wait for its provider: before each attempt it is asked what the user may know."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from mesh.ids import new_object_id
from notify_service.adapters.mongo.devices import MongoDeviceStore
from notify_service.adapters.mongo.ledger import MongoLedger
from notify_service.adapters.mongo.preferences import MongoPreferenceStore
from notify_service.delivery.brake import BrakeLimits
from notify_service.delivery.device_handler import DeviceDeliveryHandler
from notify_service.delivery.engine import Deliver
from notify_service.delivery.trust import Trust
from notify_service.domain.decision import Policy
from notify_service.domain.delivery import Lane, NewDelivery
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import Outcome
from notify_service.domain.preferences import MutedChat, Preferences, QuietHours
from notify_service.domain.push import Push, PushKind, to_payload
from notify_service.inbox.recheck import Attention
from notify_service.ports import SendDelayedError
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
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mesh.mongo import Mongo
    from notify_service.domain.ledger import LedgerEntry

POLICY = Policy({DeviceKind.FCM}, implicit_log_device=False, idle_ms=300_000)
ALL_DAY = (QuietHours(0, 720, "UTC"), QuietHours(720, 0, "UTC"))


class Phone:
    """A `Sender` that is busy until it is notified otherwise."""

    def __init__(self) -> None:
        self.busy = True
        self.refused = 0
        self.took: list[Push] = []

    def provider(self, device: Device) -> str:
        return device.kind.value

    async def send(self, push: Push, device: Device) -> str:  # noqa: ARG002
        if self.busy:
            self.refused += 1
            raise SendDelayedError("HTTP 503", provider_down=False)
        self.took.append(push)
        return "taken"


@dataclass
class Waiting:
    """Pushes that were tried once while the provider was busy."""

    mongo: Mongo
    deliver: Deliver
    members: ScriptedMembers
    devices: MongoDeviceStore
    preferences: MongoPreferenceStore
    ledger: MongoLedger
    phone: Phone = field(default_factory=Phone)
    clock: Clock = field(default_factory=Clock)

    async def push(self, user_id: str = "bob", count: int = 1) -> NewDelivery:
        """One for a new device of the user; returns when it was refused once."""
        [new] = new_deliveries(1, clock=self.clock)
        device = await self.devices.register(
            user_id, DeviceKind.FCM, f"token {new_object_id()}", "", self.clock(), keep=50
        )
        ids = tuple(new_object_id() for _ in range(count))
        show = Push(
            PushKind.SHOW,
            new.chat_id,
            1,
            "Alice · Crew",
            "the whole text",
            message_id=ids[-1],
            sender_id="alice",
            count=count,
            seq=7,
            chat_title="Crew",
        )
        new = replace(
            new,
            provider="fcm",
            target_id=device.id,
            user_id=user_id,
            message_ids=ids,
            payload=to_payload(show),
        )
        refused = self.phone.refused
        await self.deliver.add([new])
        await eventually(lambda: self.phone.refused > refused)
        return new

    async def go_on(self, count: int) -> None:
        """The provider is back; returns when all are settled."""
        self.phone.busy = False
        self.clock.advance(3)
        await settled(self.mongo, count)

    async def last_entry(self, push: NewDelivery) -> LedgerEntry:
        return (await self.ledger.find(push.user_id, push.message_ids[-1], 10))[0]


@asynccontextmanager
async def waiting(mongo_url: str) -> AsyncIterator[Waiting]:
    async with store_at(mongo_url) as (store, mongo):
        members, phone, clock, ledger = ScriptedMembers(), Phone(), Clock(), MongoLedger(mongo)
        devices = MongoDeviceStore(mongo)
        handler = DeviceDeliveryHandler(
            devices,
            {DeviceKind.FCM: phone},
            ledger,
            last_look_of(mongo, members, POLICY),
            Trust(BrakeLimits()),
        )
        deliver = Deliver(store, {Lane.DEVICE: handler}, LIMITS, PACE, clock)
        async with running_engine(deliver):
            preferences = MongoPreferenceStore(mongo)
            yield Waiting(mongo, deliver, members, devices, preferences, ledger, phone, clock)


def _left(it: Waiting, push: NewDelivery) -> Preferences | None:
    it.members.knows["bob", push.chat_id] = Attention(member=False)
    return None


def _read(it: Waiting, push: NewDelivery) -> Preferences | None:
    it.members.knows["bob", push.chat_id] = Attention(member=True, read_seq=7)
    return None


def _deleted(it: Waiting, push: NewDelivery) -> Preferences | None:
    it.members.deleted.update(push.message_ids)
    return None


def _muted(it: Waiting, push: NewDelivery) -> Preferences | None:  # noqa: ARG001
    return Preferences(muted_chats=(MutedChat(push.chat_id),))


def _disabled(it: Waiting, push: NewDelivery) -> Preferences | None:  # noqa: ARG001
    return Preferences(enabled=False)


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (_left, "not-a-member"),
        (_read, "read"),
        (_deleted, "deleted"),
        (_muted, "muted"),
        (_disabled, "disabled"),
    ],
)
async def test_what_the_user_may_or_wants_to_know_no_more_does_not_go_out(
    mongo_url: str, happens: Callable[[Waiting, NewDelivery], Preferences | None], reason: str
) -> None:
    async with waiting(mongo_url) as it:
        push = await it.push()
        if wishes := happens(it, push):
            await it.preferences.replace("bob", wishes)
        await it.go_on(1)
        assert it.phone.took == []
        entry = await it.last_entry(push)
        assert (entry.outcome, entry.detail, entry.attempt) == (Outcome.SUPPRESSED, reason, 2)


async def test_nobody_is_told_in_quiet_hours_because_of_an_outage(mongo_url: str) -> None:
    async with waiting(mongo_url) as it:
        pushes = [await it.push(user_id) for user_id in ("bob", "eve")]
        for push, hours in zip(pushes, ALL_DAY, strict=True):
            await it.preferences.replace(push.user_id, Preferences(quiet_hours=hours))
        await it.go_on(2)
        notified = {(await it.last_entry(push)).detail for push in pushes}
        assert notified == {"taken", "quiet-hours"}, "one half of the day is quiet for each of them"


@pytest.mark.parametrize(("count", "body"), [(1, "New message"), (3, "3 new messages")])
async def test_a_preview_that_is_hidden_by_now_is_not_shown(mongo_url: str, count: int, body: str) -> None:
    async with waiting(mongo_url) as it:
        await it.push(count=count)
        await it.preferences.replace("bob", Preferences(show_preview=False))
        await it.go_on(1)
        [push] = it.phone.took
        assert (push.title, push.body) == ("Alice · Crew", body)


async def test_of_several_messages_the_last_may_be_deleted_by_now(mongo_url: str) -> None:
    async with waiting(mongo_url) as it:
        waits = await it.push(count=2)
        it.members.deleted.add(waits.message_ids[-1])
        await it.go_on(1)
        [push] = it.phone.took
        assert (push.title, push.body, push.sender_id) == ("Crew", "2 new messages", "")


async def test_what_cannot_be_asked_about_waits_and_is_no_attempt(mongo_url: str) -> None:
    async with waiting(mongo_url) as it:
        push = await it.push()
        it.members.down = True
        it.phone.busy = False
        it.clock.advance(3)
        await eventually(lambda: len(it.members.questions) > 3)
        assert it.phone.took == []
        it.members.down = False
        await it.go_on(1)
        assert len(it.phone.took) == 1
        entries = await it.ledger.find("bob", push.message_ids[0], 10)
        assert [(entry.outcome, entry.attempt) for entry in reversed(entries)] == [
            (Outcome.DELAYED, 1),
            (Outcome.SENT, 2),
        ]


async def test_those_that_are_due_together_are_asked_about_together(mongo_url: str) -> None:
    async with waiting(mongo_url) as it:
        for number in range(12):
            await it.push(f"user-{number}")
        it.members.questions.clear()
        await it.go_on(12)
        assert len(it.members.questions) <= 6, "four attempts or more begin at a time"
