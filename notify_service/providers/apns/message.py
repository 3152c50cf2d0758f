"""What Apple devices get. Pure."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

import msgspec

from mesh.clock import to_rfc3339
from notify_service.domain.push import Push, PushKind, seconds_left
from notify_service.providers.trimming import fit

MAX_PAYLOAD: Final = 4096
"""Bytes of a payload that APNs takes."""
_MAX_COLLAPSE_ID: Final = 64
"""Bytes of `apns-collapse-id`."""


class Aps(msgspec.Struct, rename="kebab", omit_defaults=True):
    """The dictionary that iOS itself reads."""

    badge: int
    alert: dict[str, str] | None = None
    thread_id: str = ""
    sound: str = ""
    mutable_content: int = 0
    content_available: int = 0


class _Payload(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the app reads beside `aps` is documented in docs/notifications.md: fields may be added."""

    aps: Aps
    type: str
    chat_id: str
    message_id: str = ""
    sender_id: str = ""
    count: int = 0
    sent_at: str = ""


@dataclass(frozen=True, slots=True)
class ApnsMessage:
    """A request for one device, but for the token that proves who asks."""

    payload: bytes
    headers: dict[str, str]


def aps_of(push: Push, alert: dict[str, str] | None = None) -> Aps:
    """The `aps` dictionary.

    A clear-push sets the badge and wakes the app, which then takes the notification away. It has no alert, so
    nothing is shown.
    """
    if push.kind is PushKind.CLEAR:
        return Aps(badge=push.badge, content_available=1)
    return Aps(badge=push.badge, alert=alert, thread_id=push.chat_id, sound="default", mutable_content=1)


def apns_headers(push: Push, *, now_ms: int, keep_seconds: float) -> dict[str, str]:
    """How APNs shall treat it, in the headers that Firebase passes on to APNs as well.

    The type is `alert` for a clear-push too: Apple allows no badge in one of type `background`, and delivers
    only a few of those an hour.

    Args:
        push: what goes out.
        now_ms: now, Unix milliseconds.
        keep_seconds: how long APNs may keep it for a device that is away.
    """
    left = seconds_left(push, keep_seconds, now_ms)
    return {
        "apns-push-type": "alert",
        "apns-priority": "10" if push.urgent else "5",
        # 0 has a meaning of its own: try once, and do not keep it.
        "apns-expiration": str(now_ms // 1000 + left if left else 0),
        "apns-collapse-id": _collapse_id(push.chat_id),
    }


def apns_message(push: Push, topic: str, *, now_ms: int, keep_seconds: float) -> ApnsMessage:
    """The message for a device, its text cut to what APNs takes.

    Args:
        push: what the device shall do.
        topic: the app's bundle id.
        now_ms: now, Unix milliseconds.
        keep_seconds: how long APNs may keep it for a device that is away.

    Raises:
        TooLongError: it does not fit even without text.
    """

    def render(title: str, body: str) -> bytes:
        payload = _Payload(
            aps=aps_of(push, {"title": title, "body": body}),
            type=push.kind.value,
            chat_id=push.chat_id,
            message_id=push.message_id,
            sender_id=push.sender_id,
            count=push.count,
            sent_at=to_rfc3339(push.at_ms) if push.at_ms else "",
        )
        return msgspec.json.encode(payload)

    headers = apns_headers(push, now_ms=now_ms, keep_seconds=keep_seconds)
    return ApnsMessage(fit(render, push.title, push.body, MAX_PAYLOAD), {"apns-topic": topic, **headers})


def _collapse_id(chat_id: str) -> str:
    if len(chat_id.encode()) <= _MAX_COLLAPSE_ID and chat_id.isascii() and chat_id.isprintable():
        return chat_id
    return urlsafe_b64encode(hashlib.sha256(chat_id.encode()).digest()).decode().rstrip("=")
