"""What is known of a user who may have to be told."""

from collections.abc import Sequence
from dataclasses import dataclass

from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.preferences import Preferences


@dataclass(frozen=True, slots=True)
class Person:
    """A user with wishes and devices."""

    user_id: str
    preferences: Preferences
    devices: Sequence[Device]

    @property
    def wants_digests(self) -> bool:
        """Whether what stays unread is mailed."""
        wishes = self.preferences
        has_mailbox = any(device.kind is DeviceKind.EMAIL for device in self.devices)
        return has_mailbox and wishes.enabled and wishes.email_digest
