"""Every metric of chat_service."""

from typing import Final

from prometheus_client import Counter, Histogram

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
OUTBOX_SWEPT: Final = Counter(
    "parley_chat_outbox_swept_total",
    "Log entries handed to the broker by the sweeper instead of by the send that made them.",
)
RESUMES: Final = Counter(
    "parley_chat_resumes_total",
    "Cursors answered, by outcome: complete, incomplete, reset, or the error code.",
    ("outcome",),
)
