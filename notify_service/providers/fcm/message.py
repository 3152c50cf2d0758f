"""What devices behind Firebase get. Pure."""

from typing import Final

import msgspec

from mesh.clock import to_rfc3339
from notify_service.domain.push import Push, PushKind, seconds_left
from notify_service.providers.apns.message import Aps, apns_headers, aps_of
from notify_service.providers.trimming import fit

MAX_MESSAGE: Final = 4000
"""Bytes of a message without its token. Firebase takes 4,096 and does not say which of them count; 4,000 fits
by any count."""
_MAX_KEEP_SECONDS: Final = 28 * 86_400
"""The longest `ttl` that Firebase takes."""


class _Text(msgspec.Struct):
    title: str
    body: str


class _AndroidNotification(msgspec.Struct):
    tag: str
    notification_count: int


class _Android(msgspec.Struct, omit_defaults=True):
    collapse_key: str
    priority: str
    ttl: str
    notification: _AndroidNotification | None = None


class _ApplePayload(msgspec.Struct):
    aps: Aps


class _Apple(msgspec.Struct):
    headers: dict[str, str]
    payload: _ApplePayload


class _Message(msgspec.Struct, omit_defaults=True):
    token: str
    data: dict[str, str]
    android: _Android
    apns: _Apple
    notification: _Text | None = None


class _Request(msgspec.Struct):
    message: _Message


def fcm_message(push: Push, token: str, *, now_ms: int, keep_seconds: float) -> bytes:
    """The body of `messages:send` for one device, its text cut to what Firebase takes.

    `data` says everything to the app; what a clear-push says is there alone, so that the app is woken and
    nothing is shown. The token does not tell the platform, so the message speaks to both.

    Args:
        push: what the device shall do.
        token: the device's registration token.
        now_ms: now, Unix milliseconds.
        keep_seconds: how long Firebase may keep it for a device that is away; 28 days at most.

    Raises:
        TooLongError: it does not fit even without text.
    """
    shown = push.kind is PushKind.SHOW
    keep_seconds = min(keep_seconds, _MAX_KEEP_SECONDS)
    message = _Message(
        token=token,
        data=_data(push),
        android=_Android(
            collapse_key=push.chat_id,
            priority="HIGH" if push.urgent else "NORMAL",
            ttl=f"{seconds_left(push, keep_seconds, now_ms)}s",
            notification=_AndroidNotification(push.chat_id, push.count) if shown else None,
        ),
        apns=_Apple(
            apns_headers(push, now_ms=now_ms, keep_seconds=keep_seconds), _ApplePayload(aps_of(push))
        ),
    )

    def render(title: str, body: str) -> bytes:
        text = _Text(title, body) if shown else None
        return msgspec.json.encode(_Request(msgspec.structs.replace(message, notification=text)))

    return fit(render, push.title, push.body, MAX_MESSAGE + len(msgspec.json.encode(token)))


def _data(push: Push) -> dict[str, str]:
    """Firebase takes strings only."""
    data = {"type": push.kind.value, "chatId": push.chat_id, "badge": str(push.badge)}
    if push.kind is PushKind.SHOW:
        data |= {
            "messageId": push.message_id,
            "senderId": push.sender_id,
            "count": str(push.count),
            "sentAt": to_rfc3339(push.at_ms),
        }
    return data
