"""Every metric of the edge, in one place. Names follow the Prometheus conventions."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS: Final = Gauge("parley_edge_connections", "Open WebSocket connections.")
ROOMS: Final = Gauge("parley_edge_rooms", "Chats with a connection on this edge.")
HANDSHAKES: Final = Counter(
    "parley_edge_handshakes_total",
    "WebSocket handshakes by result.",
    ("result",),
)
JWKS_FAILING: Final = Gauge(
    "parley_edge_jwks_failing",
    "1 while the identity provider's key set is away or without a usable key; the last keys stay good.",
)
CLOSES: Final = Counter("parley_edge_closes_total", "Connections that this edge closed, by code.", ("code",))
SLOW_CONSUMERS: Final = Counter(
    "parley_edge_slow_consumers_total", "Connections closed because they read too slowly."
)
COMMANDS: Final = Counter("parley_edge_commands_total", "Client frames by event.", ("event",))
ERRORS: Final = Counter("parley_edge_errors_total", "Error frames by code.", ("code",))
EVENTS: Final = Counter("parley_edge_events_total", "Events from Redis by kind.", ("kind",))
DELIVERIES: Final = Counter("parley_edge_deliveries_total", "Frames queued for a connection by a broadcast.")
THINNED: Final = Counter(
    "parley_edge_thinned_total", "Typing and presence that a slow client did not get, or a later one instead."
)
REPLAYED: Final = Counter("parley_edge_replayed_total", "Entries sent to clients that resumed.")
FLUSHES: Final = Counter("parley_edge_flushes_total", "Writes to sockets; each may carry several frames.")
FLUSH_CONNECTIONS: Final = Histogram(
    "parley_edge_flush_connections",
    "Connections written to in one turn of the event loop.",
    buckets=(1, 4, 16, 64, 256, 1024, 4096, 16384),
)
FLUSH_BYTES: Final = Histogram(
    "parley_edge_flush_bytes",
    "Bytes written in one turn of the event loop, to all connections together.",
    buckets=(256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304),
)
FLUSH_SECONDS: Final = Histogram(
    "parley_edge_flush_seconds",
    "Time that the writes of one turn of the event loop took.",
    buckets=(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
SENT_BYTES: Final = Counter("parley_edge_sent_bytes_total", "Bytes written to sockets.")
GAPS: Final = Counter(
    "parley_edge_subscription_gaps_total", "Times the Redis subscription was lost and regained."
)
SILENCES: Final = Counter(
    "parley_edge_subscription_silences_total", "Times the Redis subscription stood and carried nothing."
)
HOLES: Final = Counter("parley_edge_holes_total", "Times an entry did not follow the last of its chat.")
SEND_BATCH: Final = Histogram(
    "parley_edge_send_batch_messages",
    "Messages in one SendMessages call.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
SEND_SECONDS: Final = Histogram(
    "parley_edge_send_seconds",
    "Time from the queueing of a message until its outcome, the longest of each SendMessages call.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
SENDS_WAITING: Final = Gauge("parley_edge_sends_waiting", "Messages that wait for a SendMessages call.")
