"""What the use cases need of the outside world.

Every method of a store may wait for MongoDB for seconds, and raises `mesh.errors.Unavailable` when it cannot
be reached; then nothing is known about a write's effect, and repeating it is safe.
"""

from collections.abc import Collection, Mapping, Sequence
from email.message import EmailMessage
from typing import Protocol

from notify_service.domain.delivery import Attempt, Delivery, NewDelivery
from notify_service.domain.device import Device, DeviceKind, WebPushKeys
from notify_service.domain.ledger import LedgerEntry
from notify_service.domain.preferences import MutedChat, Preferences
from notify_service.domain.push import Push


class SendError(Exception):
    """The provider did not take it; the text holds its answer, fit for the ledger and free of secrets."""


class SendRefusedError(SendError):
    """Another try with the same input is refused again."""


class NotAskedError(SendRefusedError):
    """It cannot be sent as it is, and nobody was asked: that says nothing about the provider."""


class TargetGoneError(SendError):
    """The device or subscription is no more, or never was: it should be forgotten."""


class TargetUnknownError(TargetGoneError):
    """The provider does not know the device: it is gone, or the settings lead to where it never was."""


class NotWantedError(SendError):
    """It need not go out any more, and nobody was asked; the text is the reason, as the ledger has it."""


class SendDelayedError(SendError):
    """It may work later: the provider is busy, broken, or cannot be reached.

    Attributes:
        retry_after_seconds: how long the provider asks to wait; None when it does not say.
        provider_down: the provider is at fault rather than this one request, which counts for its breaker.
    """

    def __init__(
        self, detail: str, *, retry_after_seconds: float | None = None, provider_down: bool = True
    ) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
        self.provider_down = provider_down


class Sender(Protocol):
    """Reaches one kind of devices. Many sends may be under way at once."""

    def provider(self, device: Device) -> str:
        """Who will be asked, up to 100 characters: what fails for one device may fail for all of it. Pure.

        It begins with the kind's value, and a colon where more follows, such as a host.
        """
        ...

    async def send(self, push: Push, device: Device) -> str:
        """Returns once the provider took it, with its receipt for the ledger (may be empty).

        The provider has `notify_send_seconds` to answer; a sender that asks it twice is cut off a few seconds
        after that. A repeat may show the notification twice, so what goes
        out carries the chat as its tag: a device shows one per chat.

        Raises:
            SendError: one of the three above.
            Unavailable: a store that it needs could not be asked; nothing was sent.
        """
        ...


class SignedPost(Protocol):
    """Posts JSON that the receiver can verify (Standard Webhooks). Many may be under way at once."""

    async def __call__(self, url: str, body: bytes, webhook_id: str, signing_secrets: Sequence[str]) -> str:
        """Returns once the receiver answered with a 2xx status, with that status for the ledger.

        Raises:
            SendError: one of the three above.
        """
        ...


class KeyStore(Protocol):
    """Where keys that this deployment made itself are kept, so that all its processes use the same."""

    async def find(self, name: str) -> bytes | None:
        """The key (PEM) under this name."""
        ...

    async def add(self, name: str, pem: bytes) -> bool:
        """Keeps a key in one atomic step; false when there is one under this name already, which stays."""
        ...


class PushKey(Protocol):
    """The key that names this deployment to push services."""

    async def public_key(self) -> str:
        """What browsers subscribe with: 65 bytes in base64url without padding.

        Raises:
            Unavailable: it is not known yet and the store cannot be asked.
        """
        ...


class DeliveryHandler(Protocol):
    """Carries out the deliveries of one lane."""

    async def deliver(self, delivery: Delivery) -> str:
        """Makes one attempt; returns the provider's receipt for the ledger (may be empty).

        It is cancelled a few seconds after the `notify_send_seconds` that the provider has to answer.

        Raises:
            SendError: one of the three above.
            Unavailable: a store could not be asked; no attempt was made.
        """
        ...

    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """Does what follows from attempts that ended, such as ledger entries, before their end is stored.

        Idempotent: after a crash, or when it raised, it is called again with the same attempts.

        Raises:
            Unavailable: try again.
        """
        ...


class Mailer(Protocol):
    """Sends messages. Many may be under way at once."""

    async def send(self, message: EmailMessage) -> str:
        """Returns once the mail server took it, with the server's answer. Safe to cancel.

        Raises:
            SendError: one of the three above; `TargetGoneError` when there is no such mailbox.
        """
        ...


class Deliveries(Protocol):
    """Takes what is to be delivered."""

    async def add(self, deliveries: Sequence[NewDelivery]) -> None:
        """Returns when they are stored: from then on they arrive, whatever dies. Idempotent by their keys."""
        ...


class Digests(Protocol):
    """Who is mailed a digest of what stays unread."""

    async def arm(self, user_ids: Collection[str], at_ms: int) -> None:
        """Looks at what these users have not read, `notify_digest_after_seconds` after `at_ms` (Unix ms).

        For whoever has a device of kind `EMAIL` and wants digests, when a message was pushed or suppressed.
        One round trip, idempotent: a look that is due earlier stays.

        Raises:
            Unavailable: MongoDB cannot be reached; nothing is known, and a repeat is safe.
        """
        ...


class DeviceStore(Protocol):
    """Where devices are kept."""

    async def register(
        self,
        user_id: str,
        kind: DeviceKind,
        address: str,
        label: str,
        at_ms: int,
        *,
        keep: int,
        web_push_keys: WebPushKeys | None = None,
        signing_secret: str = "",
        first_secret: str = "",
    ) -> Device:
        """Stores the device, or refreshes the one with this user, kind and address. Idempotent.

        Another user's device with the same kind and address is removed if the kind is in `EXCLUSIVE_KINDS`:
        the app changed hands. Of more than `keep` devices of the user those refreshed longest ago go.

        `signing_secret` takes the place of the one there is; where it is empty, that one stays, and a device
        that is new gets `first_secret`.
        """
        ...

    async def list(self, user_id: str) -> list[Device]:
        """The user's devices, the last refreshed first."""
        ...

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Device]]:
        """The devices of those users who have any, in one round trip."""
        ...

    async def get_many(self, device_ids: Collection[str]) -> Mapping[str, Device]:
        """Those that exist, by their ids, in one round trip."""
        ...

    async def remove(self, user_id: str, device_id: str) -> bool:
        """Removes a device of this user; false when the user has none with this id."""
        ...

    async def prune(self, device: Device) -> bool:
        """Removes the device unless it was refreshed since it was read; false when it was, or is gone."""
        ...


class PreferenceStore(Protocol):
    """Where preferences are kept."""

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, Preferences]:
        """The preferences of those users who set any, in one round trip."""
        ...

    async def replace(self, user_id: str, preferences: Preferences) -> None:
        """Stores the preferences in place of earlier ones. Idempotent."""
        ...

    async def mute(self, user_id: str, chat: MutedChat, *, keep: int, at_ms: int) -> bool:
        """Mutes one chat in one atomic step; false when the user has `keep` others that are still muted."""
        ...

    async def unmute(self, user_id: str, chat_id: str) -> None:
        """Ends the muting of one chat. Idempotent."""
        ...

    async def end_emails(self, user_id: str) -> None:
        """Switches the e-mail digest off, and nothing else. Idempotent."""
        ...


class Ledger(Protocol):
    """What was decided and tried."""

    async def write(self, entries: Sequence[LedgerEntry]) -> None:
        """Stores them in one round trip. Idempotent by their ids."""
        ...

    async def find(self, user_id: str, message_id: str, limit: int, before_id: str = "") -> list[LedgerEntry]:
        """Entries of the user, the message, or both, the newest first; an empty id is any."""
        ...

    async def since(self, user_id: str, since_ms: int, limit: int) -> Sequence[LedgerEntry]:
        """The user's entries since then, the newest first; of more than `limit` the last ones."""
        ...

    async def next_digest(self, user_id: str, since_ms: int) -> list[LedgerEntry]:
        """The first entries since then about mails to the user, the oldest first, at most 20."""
        ...
