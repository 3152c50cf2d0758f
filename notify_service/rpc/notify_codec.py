"""The messages of `parley.notify.v1.NotifyService` to values and back."""

from typing import Final

from notify_service.domain.device import Device, DeviceKind, WebPushKeys
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.domain.preferences import MutedChat, Preferences, QuietHours
from notify_service.ledger.explanation import Explanation
from parley.notify.v1 import notify_service_pb2 as pb

KINDS: Final = {
    pb.DEVICE_KIND_LOG: DeviceKind.LOG,
    pb.DEVICE_KIND_WEB_PUSH: DeviceKind.WEB_PUSH,
    pb.DEVICE_KIND_FCM: DeviceKind.FCM,
    pb.DEVICE_KIND_APNS: DeviceKind.APNS,
    pb.DEVICE_KIND_EMAIL: DeviceKind.EMAIL,
    pb.DEVICE_KIND_WEBHOOK: DeviceKind.WEBHOOK,
}
KINDS_OUT: Final = {kind: number for number, kind in KINDS.items()}
_OUTCOMES: Final = {
    Outcome.SENT: pb.OUTCOME_SENT,
    Outcome.SUPPRESSED: pb.OUTCOME_SUPPRESSED,
    Outcome.FAILED: pb.OUTCOME_FAILED,
    Outcome.PENDING: pb.OUTCOME_PENDING,
    Outcome.DELAYED: pb.OUTCOME_DELAYED,
    Outcome.PRUNED: pb.OUTCOME_PRUNED,
    Outcome.CLEARED: pb.OUTCOME_CLEARED,
}


def web_push_keys_from(request: pb.RegisterDeviceRequest) -> WebPushKeys | None:
    """The keys, if the request has any."""
    if not request.HasField("web_push_keys"):
        return None
    return WebPushKeys(p256dh=request.web_push_keys.p256dh, auth=request.web_push_keys.auth)


def device_to(device: Device) -> pb.Device:
    """A device, without its secrets."""
    return pb.Device(
        id=device.id,
        user_id=device.user_id,
        kind=KINDS_OUT[device.kind],
        address=device.address,
        label=device.label,
        created_at_ms=device.created_at_ms,
        refreshed_at_ms=device.refreshed_at_ms,
    )


def preferences_from(message: pb.Preferences) -> Preferences:
    """What a user wants to be notified; limits are not checked here."""
    hours = message.quiet_hours
    return Preferences(
        enabled=message.enabled,
        muted_chats=tuple(map(muted_chat_from, message.muted_chats)),
        show_preview=message.show_preview,
        quiet_hours=QuietHours(hours.start_minute, hours.end_minute, hours.time_zone)
        if message.HasField("quiet_hours")
        else None,
        direct_overrides=message.direct_overrides,
        mention_overrides=message.mention_overrides,
        email_digest=message.email_digest,
    )


def preferences_to(preferences: Preferences) -> pb.Preferences:
    """What a user wants to be notified."""
    hours = preferences.quiet_hours
    return pb.Preferences(
        enabled=preferences.enabled,
        muted_chats=[
            pb.MutedChat(chat_id=chat.chat_id, until_ms=chat.until_ms) for chat in preferences.muted_chats
        ],
        show_preview=preferences.show_preview,
        quiet_hours=None
        if hours is None
        else pb.QuietHours(
            start_minute=hours.start_minute, end_minute=hours.end_minute, time_zone=hours.time_zone
        ),
        direct_overrides=preferences.direct_overrides,
        mention_overrides=preferences.mention_overrides,
        email_digest=preferences.email_digest,
    )


def muted_chat_from(message: pb.MutedChat) -> MutedChat:
    """A chat that is kept quiet."""
    return MutedChat(message.chat_id, message.until_ms)


def entry_to(entry: LedgerEntry) -> pb.LedgerEntry:
    """One decision or attempt."""
    return pb.LedgerEntry(
        id=entry.id,
        chat_id=entry.chat_id,
        device_id=entry.device_id,
        outcome=_OUTCOMES[entry.outcome],
        detail=entry.detail,
        at_ms=entry.at_ms,
        user_ids=entry.user_ids,
        message_ids=entry.message_ids,
        kind=pb.DEVICE_KIND_UNSPECIFIED if entry.kind is None else KINDS_OUT[entry.kind],
        attempt=entry.attempt,
    )


def explanation_to(explanation: Explanation) -> pb.ExplainNotificationResponse:
    """Why a person was notified of a message, or was not."""
    outcome = explanation.outcome
    return pb.ExplainNotificationResponse(
        outcome=pb.OUTCOME_UNSPECIFIED if outcome is None else _OUTCOMES[outcome],
        summary=explanation.summary,
        entries=map(entry_to, explanation.entries),
        devices=map(device_to, explanation.devices),
        preferences=preferences_to(explanation.preferences),
    )
