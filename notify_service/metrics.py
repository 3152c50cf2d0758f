"""Every metric of notify_service, in one place."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DECISIONS: Final = Counter(
    "parley_notification_decisions_total",
    "Decisions, one per message and user: notified, or the reason against it.",
    ("decision",),
)
ATTEMPTS: Final = Counter(
    "parley_delivery_attempts_total",
    "Attempts that ended, by kind of provider and outcome (sent, delayed, failed, gone, dropped).",
    ("kind", "outcome"),
)
SEND_SECONDS: Final = Histogram(
    "parley_delivery_attempt_seconds",
    "Time that an attempt took, by kind of provider.",
    ("kind",),
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
DIGESTS: Final = Counter(
    "parley_digests_total",
    "Digest checks of what users have not read, by decision: mailed, later, or the reason against both.",
    ("decision",),
)
ACTIVE_RECHECKS: Final = Counter(
    "parley_active_rechecks_total",
    "Rechecks of users who were not notified for being active, by finding: seen, active (still), over.",
    ("finding",),
)
WAITING: Final = Gauge(
    "parley_deliveries_waiting",
    "Deliveries on their way in the whole deployment, by lane; counted up to 100,000.",
    ("lane",),
)
OLDEST_SECONDS: Final = Gauge(
    "parley_deliveries_oldest_seconds",
    "Age of the oldest delivery on its way, by lane; 0 when none is.",
    ("lane",),
)
PROVIDER_BRAKE: Final = Gauge(
    "parley_provider_brake",
    "Providers that call so many devices unknown that this process forgets none; absent for all others.",
    ("provider",),
)
PROVIDER_BREAKER: Final = Gauge(
    "parley_provider_breaker_state",
    "Providers that this process does not ask now, because they did not answer; absent for all others.",
    ("provider",),
)
