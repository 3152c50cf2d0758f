"""The courier of mails."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError

from notify_service.domain.delivery import Attempt, AttemptOutcome, Delivery
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome, attempt_entry
from notify_service.domain.preferences import Preferences
from notify_service.mail_ports import Letters, Mailer
from notify_service.mail_wire import from_proto
from notify_service.ports import DeviceStore, Ledger, NotAskedError, PreferenceStore, TargetGoneError
from parley.events.v1 import jobs_pb2

PROVIDER: Final = "smtp"
"""There is one mail server, so all mails share its rate and its breaker."""
_UNSUBSCRIBED: Final = "disabled"
_UTC: Final = "UTC"


class EmailCourier:
    """A `Courier`. The address and the user's wishes are looked up when the mail is sent."""

    def __init__(
        self,
        *,
        devices: DeviceStore,
        preferences: PreferenceStore,
        letters: Letters,
        mailer: Mailer,
        ledger: Ledger,
    ) -> None:
        self._devices = devices
        self._preferences = preferences
        self._letters = letters
        self._mailer = mailer
        self._ledger = ledger
        self._gone: dict[str, Device] = {}
        """By the delivery's id: the device as it was when the mail server did not know its mailbox."""

    async def deliver(self, delivery: Delivery) -> str:
        """Writes the mail and hands it to the mail server."""
        try:
            email = from_proto(jobs_pb2.Email.FromString(delivery.what.payload))
        except DecodeError as error:
            raise NotAskedError("the mail cannot be read") from error
        device, preferences = await asyncio.gather(self._device(delivery), self._wishes(email.user_id))
        if device is None or device.kind is not DeviceKind.EMAIL or device.user_id != email.user_id:
            raise NotAskedError("the device was removed")
        if not preferences.enabled or not preferences.email_digest:
            raise NotAskedError(_UNSUBSCRIBED)
        # The one place where a user says what the time is.
        time_zone = preferences.quiet_hours.time_zone if preferences.quiet_hours else _UTC
        letter = self._letters.write(email, device.address, time_zone)
        try:
            return await self._mailer.send(letter)
        except TargetGoneError:
            self._gone[delivery.id] = device
            raise

    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """Writes the ledger, and forgets mailboxes that do not exist."""
        gone = [attempt.delivery.id for attempt in attempts if attempt.outcome is AttemptOutcome.GONE]
        for device in (self._gone[delivery_id] for delivery_id in gone if delivery_id in self._gone):
            await self._devices.prune(device)
        await self._ledger.write([_entry(attempt) for attempt in attempts])
        for delivery_id in gone:
            self._gone.pop(delivery_id, None)

    async def _device(self, delivery: Delivery) -> Device | None:
        device_id = delivery.what.target_id
        return (await self._devices.get_many((device_id,))).get(device_id)

    async def _wishes(self, user_id: str) -> Preferences:
        return (await self._preferences.of_users((user_id,))).get(user_id, Preferences())


def _entry(attempt: Attempt) -> LedgerEntry:
    entry = attempt_entry(attempt, DeviceKind.EMAIL)
    if attempt.outcome is AttemptOutcome.FAILED and attempt.detail == _UNSUBSCRIBED:
        # It was not sent because it was not wanted any more, which is no failure.
        return replace(entry, outcome=Outcome.SUPPRESSED)
    return entry
