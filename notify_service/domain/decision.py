"""Whether a user is told, and through which devices."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from notify_service.domain.device import Device, DeviceKind, implicit_log_device
from notify_service.domain.notification import Notification
from notify_service.domain.preferences import Preferences


class Reason(Enum):
    """Why nothing is sent; the value is the ledger's `detail`."""

    DISABLED = "disabled"
    MUTED = "muted"
    NO_DEVICE = "no-device"


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
    """What this deployment can do; fixed while the process lives."""

    kinds: Collection[DeviceKind]
    """Kinds of devices that there is a sender for."""
    implicit_log_device: bool
    """Development only: a user without a device is shown notifications in the log."""


def decide(
    notification: Notification, preferences: Preferences, devices: Sequence[Device], policy: Policy
) -> Decision:
    """The user's own wishes come first, so that the ledger names them even where no device is left."""
    if not preferences.enabled:
        return Suppress(Reason.DISABLED)
    if notification.chat_id in preferences.muted_chat_ids:
        return Suppress(Reason.MUTED)
    reachable = tuple(device for device in devices if device.kind in policy.kinds)
    if reachable:
        return SendTo(reachable)
    if policy.implicit_log_device and not devices:
        return SendTo((implicit_log_device(notification.user_id),))
    return Suppress(Reason.NO_DEVICE)
