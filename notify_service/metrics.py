"""Every metric of notify_service, in one place."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DECISIONS: Final = Counter(
    "parley_notification_decisions_total",
    "Messages times the users they were for, by what was decided: told, or why not.",
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
    "Looks at what users have not read, by what came of it: mailed, later, or why neither.",
    ("decision",),
)
ACTIVE_RECHECKS: Final = Counter(
    "parley_active_rechecks_total",
    "Looks at users who were not told for being active, by what became of that: seen, active (still), over.",
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
