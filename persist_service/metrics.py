"""Every metric of persist_service, in one place. Those of queues, RPCs and dependencies are in mesh."""

from typing import Final

from prometheus_client import Counter, Histogram

ENTRIES: Final = Counter(
    "parley_persist_entries_total",
    "Log entries offered to the store, by verdict (stored, repeat, duplicate, rejected).",
    ("verdict",),
)
STORE_LAG_SECONDS: Final = Histogram(
    "parley_persist_store_lag_seconds",
    "Time from the acceptance of a message until it was stored.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0),
)
INDEX_LAG_SECONDS: Final = Histogram(
    "parley_persist_index_lag_seconds",
    "Time from the acceptance of a text message until it could be searched.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0),
)
NOTIFICATIONS: Final = Counter(
    "parley_persist_notifications_total",
    "Members named to notify_service, once per message.",
)
CHAT_LISTS: Final = Counter(
    "parley_persist_chat_lists_total",
    "Chat lists answered, by source (hit, miss, no_cache).",
    ("source",),
)
