"""The handler of pushes to devices."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from typing_extensions import override

from mesh.clock import now_ms
from notify_service.delivery.attempt import kind_of
from notify_service.delivery.batcher import Batcher
from notify_service.delivery.trust import Trust
from notify_service.domain.delivery import Attempt, AttemptOutcome, Delivery
from notify_service.domain.device import Device, DeviceKind, implicit_log_device
from notify_service.domain.ledger import LedgerEntry, Outcome, attempt_entry, cut_detail
from notify_service.domain.push import Push, WaitingPush, from_payload
from notify_service.inbox.last_look import LastLook
from notify_service.ports import (
    DeliveryHandler,
    DeviceStore,
    Ledger,
    NotAskedError,
    NotWantedError,
    Sender,
    SendError,
    TargetGoneError,
    TargetUnknownError,
)

_FRESH_MS: Final = 3_000
"""What was decided less long ago is taken for what is wanted."""
_IMPLICIT = implicit_log_device("").id


class DeviceDeliveryHandler(DeliveryHandler):
    """Sends a push through the sender of the device's kind, and writes a ledger entry per attempt.

    Whoever had to wait is looked at once more before each attempt, as many as ask at the same time together.
    """

    def __init__(
        self,
        devices: DeviceStore,
        senders: Mapping[DeviceKind, Sender],
        ledger: Ledger,
        last_look: LastLook,
        trust: Trust,
    ) -> None:
        self._devices = devices
        self._senders = senders
        self._ledger = ledger
        self._trust = trust
        self._lookups = Batcher(devices.get_many)
        self._last_looks = Batcher(last_look)
        self._gone: dict[str, Device] = {}
        """By the delivery's id: the device as it was when its provider called it gone."""

    @override
    async def deliver(self, delivery: Delivery) -> str:
        """Sends the push to where the device is reached by now."""
        device = await self._find(delivery)
        if device is None or device.user_id != delivery.what.user_id:
            raise NotAskedError("the device was removed")
        sender = self._senders.get(device.kind)
        if sender is None:
            raise NotAskedError(f"this deployment has no sender for {device.kind.value} devices")
        try:
            push = from_payload(delivery.what.payload)
        except msgspec.DecodeError as error:
            raise NotAskedError("the push cannot be read") from error
        push = await self._wanted(delivery, push)
        try:
            receipt = await sender.send(replace(push, delivery_id=delivery.id), device)
        except SendError as error:
            doubtful = isinstance(error, TargetUnknownError)
            found = self._trust.refused(delivery.what.provider, error, doubtful=doubtful)
            if isinstance(found, TargetGoneError):
                self._gone[delivery.id] = device
            raise found from error
        self._trust.took(delivery.what.provider)
        return receipt

    @override
    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """Forgets the devices that are gone, and writes one entry for each attempt."""
        gone = [attempt for attempt in attempts if attempt.outcome is AttemptOutcome.GONE]
        kept = await self._prune(gone) if gone else frozenset()
        await self._ledger.write([_entry(attempt, kept=attempt.delivery.id in kept) for attempt in attempts])
        for attempt in gone:
            self._gone.pop(attempt.delivery.id, None)

    async def _wanted(self, delivery: Delivery, push: Push) -> Push:
        """What of it may go out by now.

        Pushes that waited for a provider come in any order: what is shown should be the last of them. And the
        user may have left, read, muted or switched something off meanwhile.
        """
        if delivery.attempt == 1 and now_ms() - delivery.what.created_at_ms <= _FRESH_MS:
            return push
        found = await self._last_looks.get(
            WaitingPush(delivery.what.user_id, push, delivery.what.message_ids)
        )
        if not isinstance(found, Push):
            raise NotWantedError(found.value if found else "")
        return found

    async def _find(self, delivery: Delivery) -> Device | None:
        if delivery.what.target_id == _IMPLICIT:
            return implicit_log_device(delivery.what.user_id)
        return await self._lookups.get(delivery.what.target_id)

    async def _prune(self, gone: Sequence[Attempt]) -> frozenset[str]:
        """The deliveries whose device stays: it was registered anew since its provider was asked."""
        devices = {device.id: device for a in gone if (device := self._gone.get(a.delivery.id)) is not None}
        refreshed = [device.id for device in devices.values() if not await self._devices.prune(device)]
        there = await self._devices.get_many(refreshed) if refreshed else {}
        return frozenset(attempt.delivery.id for attempt in gone if attempt.delivery.what.target_id in there)


def _entry(attempt: Attempt, *, kept: bool) -> LedgerEntry:
    entry = attempt_entry(attempt, DeviceKind(kind_of(attempt.delivery)))
    if not kept:
        return entry
    return replace(
        entry, outcome=Outcome.FAILED, detail=cut_detail(f"{entry.detail} (registered anew since)")
    )
