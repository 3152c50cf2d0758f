"""What the use cases need of the outside world.

Every method of a store may wait for MongoDB for seconds, and raises `mesh.errors.Unavailable` when it cannot
be reached; then nothing is known about a write's effect, and repeating it is safe.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.ledger import Claim, LedgerEntry, Outcome, Slot
from notify_service.domain.notification import Notification
from notify_service.domain.preferences import Preferences
from notify_service.domain.wording import Wording


class SendRefusedError(Exception):
    """The provider refused the notification; the text holds the provider's words, fit for the ledger."""


class Sender(Protocol):
    """Reaches one kind of devices."""

    async def send(self, notification: Notification, wording: Wording, device: Device) -> None:
        """Returns once the provider took it. A repeat may show the notification twice.

        It is cancelled after `notify_users.SEND_SECONDS`.

        Raises:
            SendRefusedError: it was refused; another try with the same input is refused again.
        """
        ...


class DeviceStore(Protocol):
    """Where devices are kept."""

    async def register(
        self, user_id: str, kind: DeviceKind, address: str, label: str, at_ms: int, *, keep: int
    ) -> Device:
        """Stores the device, or refreshes the one with this user, kind and address. Idempotent.

        Of more than `keep` devices of the user those refreshed longest ago are removed.
        """
        ...

    async def list(self, user_id: str) -> list[Device]:
        """The user's devices, the last refreshed first."""
        ...

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Device]]:
        """The devices of those users who have any, in one round trip."""
        ...

    async def remove(self, user_id: str, device_id: str) -> bool:
        """Removes a device of this user; false when the user has none with this id."""
        ...


class PreferenceStore(Protocol):
    """Where preferences are kept."""

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Preferences]:
        """The preferences of those users who set any, in one round trip."""
        ...

    async def replace(self, user_id: str, preferences: Preferences) -> None:
        """Stores the preferences in place of earlier ones. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """An entry to be made: a claim to send (`PENDING`), or a decision not to (`SUPPRESSED`)."""

    slot: Slot
    chat_id: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How a claimed send ended."""

    slot: Slot
    holder: str
    """Who had claimed it."""
    outcome: Outcome
    detail: str = ""


class Ledger(Protocol):
    """What was decided and tried; one entry per `Slot`, whoever writes."""

    async def open(self, openings: Sequence[Opening], holder: str, at_ms: int) -> list[Claim]:
        """Makes the entries; the answers are in the order of `openings`, which name no slot twice.

        `holder` names who asks: until the outcome is recorded, the same holder is granted its own claims
        again, so a lost answer costs no claim. What is suppressed is `GRANTED` when the entry is this
        holder's, else `SETTLED`.
        """
        ...

    async def record(self, results: Sequence[Result], at_ms: int) -> None:
        """Writes the outcomes, of which there is at least one; a claim that another took over is left alone.

        Idempotent.
        """
        ...

    async def find(self, user_id: str, message_id: str, limit: int) -> list[LedgerEntry]:
        """Entries of the user, the message, or both, the newest decision first; an empty id is any."""
        ...
