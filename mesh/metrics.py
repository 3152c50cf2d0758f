"""Every metric of mesh, in one place. Names follow the Prometheus conventions (base units, ``_total``)."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_RPC_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

BUILD_INFO: Final = Gauge(
    "parley_build_info",
    "1 while the process runs; its part (edge, chat, persist, notify), its version and its Python.",
    ("part", "version", "python"),
)
EVENT_LOOP_LAG_SECONDS: Final = Histogram(
    "parley_event_loop_lag_seconds",
    "How much later than asked the event loop woke a sleeper: how long everything in the process waited.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

HTTP_CONNECTIONS: Final = Gauge(
    "parley_http_connections",
    "Open connections of an HTTP port, WebSockets not among them, by port (clients, admin).",
    ("port",),
)
HTTP_CONNECTIONS_ENDED: Final = Counter(
    "parley_http_connections_ended_total",
    "Connections that an HTTP port ended: without a request (idle), too slow with one (slow), for others "
    "(dropped), or for which there was no place, in all (full) or for their address (address).",
    ("port", "why"),
)

RPC_SERVER_SECONDS: Final = Histogram(
    "parley_rpc_server_seconds",
    "Time to answer a gRPC call, by method and status code; what is refused unread or unparsed counts too.",
    ("method", "code"),
    buckets=_RPC_BUCKETS,
)
RPC_CLIENT_SECONDS: Final = Histogram(
    "parley_rpc_client_seconds",
    "Time until a called service answered, by method and status code.",
    ("method", "code"),
    buckets=_RPC_BUCKETS,
)
RPC_REFUSED: Final = Counter(
    "parley_rpc_refused_total",
    "Calls refused: no service token or not a valid one, or its caller may not call the method.",
    ("cause",),
)
RPC_IN_FLIGHT: Final = Gauge("parley_rpc_in_flight", "gRPC calls being served.")
RPC_SHED: Final = Counter(
    "parley_rpc_shed_total", "gRPC calls turned away with OVERLOADED because too many were being served."
)
AMQP_PUBLISHED: Final = Counter(
    "parley_amqp_published_total",
    "Messages offered to the broker, by queue and result (confirmed, failed, refused).",
    ("queue", "result"),
)
AMQP_CONFIRM_SECONDS: Final = Histogram(
    "parley_amqp_confirm_seconds",
    "Time from a publish until all of its confirms had arrived.",
    buckets=_RPC_BUCKETS,
)
AMQP_DELIVERIES: Final = Counter(
    "parley_amqp_deliveries_total",
    "Deliveries by queue and outcome (ack, retry, dead, parked).",
    ("queue", "outcome"),
)
AMQP_BATCH_SIZE: Final = Histogram(
    "parley_amqp_batch_size",
    "Deliveries handed to a handler at once.",
    ("queue",),
    buckets=_BATCH_BUCKETS,
)
AMQP_HANDLER_SECONDS: Final = Histogram(
    "parley_amqp_handler_seconds",
    "Time a handler took for one batch.",
    ("queue",),
    buckets=_RPC_BUCKETS,
)
AMQP_BATCH_ITEMS: Final = Histogram(
    "parley_amqp_batch_items",
    "Items (events, pointers, notifications, e-mails) of the deliveries that were handled at once, by queue.",
    ("queue",),
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
)
AMQP_ITEMS: Final = Counter(
    "parley_amqp_items_total",
    "Items of deliveries, by queue and outcome: handled, dead (dead-lettered alone), or of a kind unknown "
    "to this release (unknown), which is left aside.",
    ("queue", "outcome"),
)
QUEUE_READY: Final = Gauge(
    "parley_queue_ready_messages",
    "Messages that wait in a queue of the broker and that no consumer has; all processes report the same.",
    ("queue",),
)
QUEUE_CONSUMERS: Final = Gauge(
    "parley_queue_consumers",
    "Consumers of a work queue, of all processes together; all processes report the same.",
    ("queue",),
)
QUEUE_OLDEST_SECONDS: Final = Gauge(
    "parley_queue_oldest_seconds",
    "Age of the oldest delivery that this process is handling, since it was published first; 0: none.",
    ("queue",),
)
REDIS_SECONDS: Final = Histogram(
    "parley_redis_seconds",
    "Time until Redis answered or failed, by command; commands that go together are one 'pipeline'.",
    ("command",),
    buckets=_STORE_BUCKETS,
)
MONGO_SECONDS: Final = Histogram(
    "parley_mongo_seconds",
    "Time until MongoDB answered, by command and result (ok, failed).",
    ("command", "result"),
    buckets=_STORE_BUCKETS,
)
DEPENDENCY_UP: Final = Gauge(
    "parley_dependency_up",
    "1 while the dependency answered its last health check.",
    ("dependency",),
)
BREAKER_STATE: Final = Gauge(
    "parley_breaker_state",
    "0 closed, 1 half-open (a probe is under way), 2 open: calls are refused at once.",
    ("dependency",),
)
BREAKER_REFUSED: Final = Counter(
    "parley_breaker_refused_total",
    "Calls refused because the dependency had not answered for a while.",
    ("dependency",),
)
TRACE_SPANS: Final = Counter(
    "parley_trace_spans_total",
    "Spans by what became of them: exported, failed (the collector did not take them), dropped (too many).",
    ("result",),
)
CERTIFICATE_EXPIRES: Final = Gauge(
    "parley_certificate_expires_timestamp_seconds",
    "When the certificate in use ends, in Unix time, by to whom it is shown (services, clients).",
    ("use",),
)
TASK_RESTARTS: Final = Counter(
    "parley_task_restarts_total",
    "Supervised tasks that failed and were started again.",
    ("task",),
)
