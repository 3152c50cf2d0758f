"""Whether a user is notified, and through which devices. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notify_service.domain.device import Device, DeviceKind, implicit_log_device
from notify_service.domain.ledger import MAX_MESSAGES, LedgerEntry, Outcome, entry_id
from notify_service.domain.person import Person
from notify_service.domain.preferences import Preferences, QuietHours


class Reason(Enum):
    """Why a user is not notified of a message; the value is the ledger's `detail`."""

    NOT_A_MEMBER = "not-a-member"
    DELETED = "deleted"
    COLLAPSED = "collapsed"
    """Notified together with a later message."""
    READ = "read"
    SEEN = "seen"
    ACTIVE = "active"
    DISABLED = "disabled"
    MUTED = "muted"
    QUIET_HOURS = "quiet-hours"
    NO_DEVICE = "no-device"


MAY_STAY_UNREAD: Final = frozenset({Reason.SEEN, Reason.ACTIVE, Reason.QUIET_HOURS, Reason.NO_DEVICE})
"""Reasons after which a digest may hold something for those who want one."""


@dataclass(frozen=True, slots=True)
class Suppress:
    """Nothing is sent."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class SendTo:
    """It goes to each of these devices, of which there is at least one."""

    devices: tuple[Device, ...]


Decision = Suppress | SendTo


@dataclass(frozen=True, slots=True)
class Policy:
    """What this deployment does; fixed while the process lives."""

    kinds: Collection[DeviceKind]
    """Kinds of devices that are notified at once, and that there is a sender for."""
    implicit_log_device: bool
    """Development only: a user without a device is shown notifications in the log."""
    idle_ms: int
    """A connected user who did nothing for so long is notified."""
    badge_counts_muted: bool = False
    """What is unread in muted chats is in the badge."""

    def active(self, last_active_ms: int, at_ms: int, *, partial: bool = False) -> bool:
        """Whether a user with a live connection, and busy with it, needs no notification.

        A ``partial`` connection does not receive all chats of the user, so that it shows nothing for sure.
        """
        return not partial and last_active_ms > 0 and at_ms - last_active_ms < self.idle_ms

    def uncounted(self, person: Person, at_ms: int) -> frozenset[str]:
        """Chats of the user that the badge leaves out."""
        if self.badge_counts_muted:
            return frozenset()
        muted = (chat for chat in person.preferences.muted_chats if chat.is_muted(at_ms))
        return frozenset(chat.chat_id for chat in muted)

    def reach(self, person: Person) -> tuple[Device, ...]:
        """Those of the user's devices that can be notified."""
        if self.implicit_log_device and not person.devices:
            return (implicit_log_device(person.user_id),)
        return tuple(device for device in person.devices if device.kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What there is to notify of, as far as the user's preferences go by it."""

    chat_id: str
    direct: bool
    mentioned: bool
    """A message among it mentions the user."""
    at_ms: int
    """The time by which mutings end and quiet hours begin."""


def decide(occasion: Occasion, person: Person, policy: Policy) -> Decision:
    """The user's own preferences come first, so that the ledger names them even where no device is left."""
    preferences = person.preferences
    if not preferences.enabled:
        return Suppress(Reason.DISABLED)
    mentioned = occasion.mentioned and preferences.mention_overrides
    if not mentioned and _muted(occasion, preferences):
        return Suppress(Reason.MUTED)
    comes_through = mentioned or (occasion.direct and preferences.direct_overrides)
    if not comes_through and preferences.quiet_hours and is_quiet(preferences.quiet_hours, occasion.at_ms):
        return Suppress(Reason.QUIET_HOURS)
    devices = policy.reach(person)
    return SendTo(devices) if devices else Suppress(Reason.NO_DEVICE)


def suppressed(
    reason: Reason,
    user_ids: Sequence[str],
    chat_id: str,
    message_ids: Sequence[str],
    *,
    id_parts: Sequence[str],
    id_at_ms: int,
    at_ms: int,
) -> LedgerEntry:
    """The entry that says why these users were not notified; the same parts and time give the same id."""
    return LedgerEntry(
        id=entry_id(id_at_ms, *id_parts, reason.value),
        user_ids=tuple(user_ids),
        message_ids=tuple(message_ids[-MAX_MESSAGES:]),
        chat_id=chat_id,
        outcome=Outcome.SUPPRESSED,
        detail=reason.value,
        at_ms=at_ms,
    )


def is_quiet(hours: QuietHours, at_ms: int) -> bool:
    """Whether the clock on the user's wall stands in the quiet hours, whatever daylight saving did to it.

    A time zone that this machine does not know makes no hour quiet: rather notified than lost.
    """
    try:
        zone = ZoneInfo(hours.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    wall = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    if hours.start_minute < hours.end_minute:
        return hours.start_minute <= minute < hours.end_minute
    return minute >= hours.start_minute or minute < hours.end_minute


def _muted(occasion: Occasion, preferences: Preferences) -> bool:
    return any(
        chat.chat_id == occasion.chat_id and chat.is_muted(occasion.at_ms) for chat in preferences.muted_chats
    )
