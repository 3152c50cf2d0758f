"""Every metric of notify_service, in one place."""

from typing import Final

from prometheus_client import Counter, Histogram

NOTIFICATIONS: Final = Counter(
    "parley_notifications_total",
    "Ledger entries by outcome (sent, suppressed, failed); reason is set for suppressed ones.",
    ("outcome", "reason"),
)
DECISIONS: Final = Counter(
    "parley_notification_decisions_total",
    "Messages times the users they were for, by what was decided: told, or why not.",
    ("decision",),
)
SEND_SECONDS_TAKEN: Final = Histogram(
    "parley_notification_send_seconds",
    "Time until a provider took or refused a notification, by kind of device.",
    ("kind",),
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
