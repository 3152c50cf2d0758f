"""Where notifications go to."""

from dataclasses import dataclass, field
from enum import Enum

MAX_DEVICES = 50
"""Devices of one user. One more, and the one refreshed longest ago is forgotten."""


class DeviceKind(Enum):
    """How a device is reached; each kind has a sender of its own."""

    LOG = "log"
    WEB_PUSH = "web-push"
    FCM = "fcm"
    APNS = "apns"
    EMAIL = "email"
    WEBHOOK = "webhook"


EXCLUSIVE_KINDS = frozenset({DeviceKind.WEB_PUSH, DeviceKind.FCM, DeviceKind.APNS})
"""An address of these kinds is one installation of an app, which one user at a time is logged in to."""


@dataclass(frozen=True, slots=True)
class WebPushKeys:
    """The keys of a Web Push subscription (RFC 8291), in base64url without padding."""

    p256dh: str
    """The browser's public key: 65 bytes, an uncompressed point on P-256."""
    auth: str = field(repr=False)
    """The authentication secret: 16 bytes."""


@dataclass(frozen=True, slots=True)
class Device:
    """A place that notifications go to. One per user, kind and address."""

    id: str
    user_id: str
    kind: DeviceKind
    address: str
    label: str
    created_at_ms: int
    refreshed_at_ms: int
    web_push_keys: WebPushKeys | None = None
    """Set for `WEB_PUSH` and for no other kind."""
    signing_secret: str = field(default="", repr=False)
    """Set for `WEBHOOK` and for no other kind: `whsec_` and base64."""


def implicit_log_device(user_id: str) -> Device:
    """The device that a user without any has in development, so that a first `make run` shows notifications.

    It is never stored or listed; its id, all zeros, cannot be minted for a stored device.
    """
    return Device(
        id="0" * 24,
        user_id=user_id,
        kind=DeviceKind.LOG,
        address="log",
        label="the log of this service",
        created_at_ms=0,
        refreshed_at_ms=0,
    )
