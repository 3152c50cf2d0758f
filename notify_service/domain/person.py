"""What is known of a user who may have to be notified."""

from collections.abc import Sequence
from dataclasses import dataclass

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.preferences import Preferences


@dataclass(frozen=True, slots=True)
class Person:
    """A user with preferences and devices."""

    user_id: str
    preferences: Preferences
    devices: Sequence[Device]

    @property
    def wants_digests(self) -> bool:
        """Whether what stays unread is mailed."""
        preferences = self.preferences
        has_mailbox = any(device.kind is DeviceKind.EMAIL for device in self.devices)
        return has_mailbox and preferences.enabled and preferences.email_digest
