"""The handler of mails."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError
from typing_extensions import override

from mesh.clock import now_ms
from notify_service.delivery.batcher import Batcher
from notify_service.delivery.trust import Trust
from notify_service.domain.decision import Reason
from notify_service.domain.delivery import Attempt, AttemptOutcome, Delivery
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import attempt_entry
from notify_service.domain.preferences import Preferences
from notify_service.email.digest import Email, still_unread
from notify_service.email.ports import EmailRenderer
from notify_service.email.proto_codec import from_proto
from notify_service.inbox.inbox import InboxKey
from notify_service.inbox.ports import Members
from notify_service.inbox.recheck import Attention
from notify_service.ports import (
    DeliveryHandler,
    DeviceStore,
    Ledger,
    Mailer,
    NotAskedError,
    NotWantedError,
    PreferenceStore,
    SendError,
    TargetGoneError,
)
from notify_service.providers.smtp.mailer import PROVIDER
from parley.events.v1 import jobs_pb2

_UTC: Final = "UTC"


class EmailDeliveryHandler(DeliveryHandler):
    """A `DeliveryHandler`. What a mail says, and to whom, is looked at once more before each attempt."""

    def __init__(
        self,
        *,
        devices: DeviceStore,
        preferences: PreferenceStore,
        members: Members,
        renderer: EmailRenderer,
        mailer: Mailer,
        ledger: Ledger,
        trust: Trust,
    ) -> None:
        self._devices = devices
        self._preferences = preferences
        self._members = members
        self._attention = Batcher(self._ask)
        self._renderer = renderer
        self._mailer = mailer
        self._ledger = ledger
        self._trust = trust
        self._gone: dict[str, Device] = {}
        """By the delivery's id: the device as it was when the mail server did not know its mailbox."""

    @override
    async def deliver(self, delivery: Delivery) -> str:
        """Writes the mail and hands it to the mail server."""
        try:
            email = from_proto(jobs_pb2.Email.FromString(delivery.what.payload))
        except DecodeError as error:
            raise NotAskedError("the mail cannot be read") from error
        device, preferences = await asyncio.gather(
            self._device(delivery), self._preferences_of(email.user_id)
        )
        if device is None or device.kind is not DeviceKind.EMAIL or device.user_id != email.user_id:
            raise NotAskedError("the device was removed")
        if not preferences.enabled or not preferences.email_digest:
            raise NotWantedError(Reason.DISABLED.value)
        email = await self._wanted(email, preferences)
        # The one place where a user says what the time is.
        time_zone = preferences.quiet_hours.time_zone if preferences.quiet_hours else _UTC
        message = self._renderer.render(email, device.address, time_zone)
        try:
            detail = await self._mailer.send(message)
        except SendError as error:
            # A server that relays wrongly may call all mailboxes unknown, and none registers anew by itself.
            doubtful = isinstance(error, TargetGoneError)
            found = self._trust.refused(PROVIDER, error, doubtful=doubtful)
            if isinstance(found, TargetGoneError):
                self._gone[delivery.id] = device
            raise found from error
        self._trust.took(PROVIDER)
        return detail

    @override
    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """Writes the ledger, and forgets mailboxes that do not exist."""
        gone = [attempt.delivery.id for attempt in attempts if attempt.outcome is AttemptOutcome.GONE]
        for device in (self._gone[delivery_id] for delivery_id in gone if delivery_id in self._gone):
            await self._devices.prune(device)
        await self._ledger.write([attempt_entry(attempt, DeviceKind.EMAIL) for attempt in attempts])
        for delivery_id in gone:
            self._gone.pop(delivery_id, None)

    async def _wanted(self, email: Email, preferences: Preferences) -> Email:
        """What of it may be mailed by now."""
        keys = [InboxKey(email.user_id, chat.chat_id) for chat in email.digest.chats]
        found = await asyncio.gather(*map(self._attention.get, keys))
        attentions = [attention or Attention(member=False) for attention in found]
        digest = still_unread(email.digest, attentions, preferences, now_ms())
        if isinstance(digest, Reason):
            raise NotWantedError(digest.value)
        return replace(email, digest=digest)

    async def _ask(self, keys: Collection[InboxKey]) -> Mapping[InboxKey, Attention]:
        asked = list(keys)
        attentions, _ = await self._members.attention(asked, ())
        return dict(zip(asked, attentions, strict=True))

    async def _device(self, delivery: Delivery) -> Device | None:
        device_id = delivery.what.target_id
        return (await self._devices.get_many((device_id,))).get(device_id)

    async def _preferences_of(self, user_id: str) -> Preferences:
        return (await self._preferences.of_users((user_id,))).get(user_id, Preferences())
