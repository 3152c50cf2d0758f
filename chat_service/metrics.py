"""Every metric of chat_service."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SENDS: Final = Counter(
    "parley_chat_sends_total",
    "Messages offered, by outcome: accepted, duplicate, or the error code.",
    ("outcome",),
)
SEND_BATCH_SIZE: Final = Histogram(
    "parley_chat_send_batch_size",
    "Messages in one SendMessages call.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
SEND_STAGE_SECONDS: Final = Histogram(
    "parley_chat_send_stage_seconds",
    "Time that a batch of sends spent in a stage: charge (rates), mark, accept, confirm (broker), clear.",
    ("stage",),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
OUTBOX_CHATS: Final = Gauge(
    "parley_chat_outbox_chats",
    "Chats marked for the sweeper, also for sends of the last 10 s; all processes report the same.",
)
OUTBOX_ENTRIES: Final = Gauge(
    "parley_chat_outbox_entries",
    "Entries that the broker has not confirmed, of the 1,000 chats marked longest ago.",
)
OUTBOX_OLDEST_SECONDS: Final = Gauge(
    "parley_chat_outbox_oldest_seconds",
    "How long ago the chat was marked that has waited longest for the sweeper; about 10 is usual.",
)
OUTBOX_SWEPT: Final = Counter(
    "parley_chat_outbox_swept_total",
    "Log entries handed to the broker by the sweeper instead of by the send that made them.",
)
RESUMES: Final = Counter(
    "parley_chat_resumes_total",
    "Cursors answered, by outcome: complete, incomplete, reset, or the error code.",
    ("outcome",),
)
