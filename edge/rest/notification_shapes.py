"""Devices, preferences and the ledger of notifications: from JSON to protobuf and back."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from edge.rest.errors import invalid
from edge.rest.notification_bodies import (
    DeviceJson,
    DeviceKindName,
    LedgerEntryJson,
    MutedChatJson,
    OutcomeName,
    PreferencesJson,
    QuietHoursJson,
)
from mesh.clock import to_rfc3339
from parley.notify.v1 import notify_service_pb2 as pb

_KIND_NAMES: Final[dict[pb.DeviceKind.ValueType, DeviceKindName]] = {
    pb.DEVICE_KIND_LOG: "log",
    pb.DEVICE_KIND_WEB_PUSH: "web-push",
    pb.DEVICE_KIND_FCM: "fcm",
    pb.DEVICE_KIND_APNS: "apns",
    pb.DEVICE_KIND_EMAIL: "email",
    pb.DEVICE_KIND_WEBHOOK: "webhook",
}
KINDS: Final[dict[str, pb.DeviceKind.ValueType]] = {name: kind for kind, name in _KIND_NAMES.items()}
_OUTCOME_NAMES: Final[dict[pb.Outcome.ValueType, OutcomeName]] = {
    pb.OUTCOME_SENT: "sent",
    pb.OUTCOME_SUPPRESSED: "suppressed",
    pb.OUTCOME_FAILED: "failed",
    pb.OUTCOME_PENDING: "pending",
    pb.OUTCOME_DELAYED: "delayed",
    pb.OUTCOME_PRUNED: "pruned",
    pb.OUTCOME_CLEARED: "cleared",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def kind_name(kind: pb.DeviceKind.ValueType) -> DeviceKindName:
    """The API's name of a kind."""
    return _KIND_NAMES.get(kind, "unknown")


def outcome_name(outcome: pb.Outcome.ValueType) -> OutcomeName:
    """The API's name of an outcome."""
    return _OUTCOME_NAMES.get(outcome, "unknown")


def device_json(device: pb.Device) -> DeviceJson:
    """A device as the API shows it."""
    return DeviceJson(
        id=device.id,
        kind=kind_name(device.kind),
        label=device.label,
        created_at=to_rfc3339(device.created_at_ms),
        refreshed_at=to_rfc3339(device.refreshed_at_ms),
    )


def preferences_json(preferences: pb.Preferences) -> PreferencesJson:
    """Preferences as the API shows them."""
    hours = preferences.quiet_hours
    return PreferencesJson(
        enabled=preferences.enabled,
        show_preview=preferences.show_preview,
        quiet_hours=QuietHoursJson(
            start=_wall_time(hours.start_minute), end=_wall_time(hours.end_minute), time_zone=hours.time_zone
        )
        if preferences.HasField("quiet_hours")
        else None,
        direct_overrides=preferences.direct_overrides,
        mention_overrides=preferences.mention_overrides,
        email_digest=preferences.email_digest,
        muted_chats=[
            MutedChatJson(chat_id=chat.chat_id, until=to_rfc3339(chat.until_ms) if chat.until_ms else None)
            for chat in preferences.muted_chats
        ],
    )


def preferences_from(body: PreferencesJson) -> pb.Preferences:
    """Preferences as a client sent them.

    Raises:
        InvalidArgument: the end of a muting is no time.
    """
    return pb.Preferences(
        enabled=body.enabled,
        show_preview=body.show_preview,
        quiet_hours=None if body.quiet_hours is None else _quiet_hours(body.quiet_hours),
        direct_overrides=body.direct_overrides,
        mention_overrides=body.mention_overrides,
        email_digest=body.email_digest,
        muted_chats=[
            pb.MutedChat(chat_id=chat.chat_id, until_ms=until_ms(chat.until)) for chat in body.muted_chats
        ],
    )


def until_ms(text: str | None) -> int:
    """The end of a muting in Unix milliseconds; 0 for none.

    Raises:
        InvalidArgument: not a time as in RFC 3339, or one before 1970.
    """
    if text is None:
        return 0
    try:
        until: datetime = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.ValidationError as error:
        raise invalid("until must be a time as in RFC 3339, such as 2026-01-31T12:00:00.000Z") from error
    milliseconds = (until - _EPOCH) // timedelta(milliseconds=1)
    if milliseconds <= 0:
        raise invalid("until must be after 1970")
    return milliseconds


def entry_json(entry: pb.LedgerEntry) -> LedgerEntryJson:
    """An entry of the ledger as the API shows it."""
    return LedgerEntryJson(
        id=entry.id,
        user_ids=list(entry.user_ids),
        message_ids=list(entry.message_ids),
        chat_id=entry.chat_id,
        outcome=outcome_name(entry.outcome),
        detail=entry.detail,
        device_id=entry.device_id,
        kind=kind_name(entry.kind) if entry.kind else None,
        attempt=entry.attempt,
        at=to_rfc3339(entry.at_ms),
    )


def _quiet_hours(hours: QuietHoursJson) -> pb.QuietHours:
    return pb.QuietHours(
        start_minute=_minute(hours.start), end_minute=_minute(hours.end), time_zone=hours.time_zone
    )


def _wall_time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _minute(wall_time: str) -> int:
    return int(wall_time[:2]) * 60 + int(wall_time[3:5])
