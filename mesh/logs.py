"""Structured logs: one event per line, UTC, on standard error, libraries included.

Events are named ``area.what_happened`` with facts as fields. Never log tokens, secrets or message content.
The level is that of Parley's own events; libraries are heard from warnings on.
"""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import FilteringBoundLogger, Processor

from mesh import tracing

LogFormat = Literal["json", "console"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

# These report each attempt to reconnect, or each connection of their own; mesh logs the same facts once.
_QUIET_LIBRARIES = {
    "aio_pika": logging.ERROR,
    "aiormq": logging.CRITICAL,
    "opentelemetry": logging.CRITICAL,
    "tornado.access": logging.ERROR,
    "tornado.general": logging.ERROR,  # what any client can cause, such as a TLS handshake that fails
}
_OURS = "parley"


def configure_logs(service: str, level: LogLevel, fmt: LogFormat) -> None:
    """Sets up structlog and the standard library's root logger. Calling it again replaces the set-up."""
    shared: list[Processor] = [
        merge_contextvars,
        _trace_ids,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _service_name(service),
        structlog.processors.StackInfoRenderer(),
    ]
    render: list[Processor]
    if fmt == "json":
        render = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(sort_keys=False)]
        # Local variables may hold tokens and messages: a traceback shows the lines, never the values.
        render[0] = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        )
    else:
        render = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]

    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: logging.getLogger(_OURS),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Below warnings libraries tell headers, URLs, documents and frames: tokens and messages are in them.
    root.setLevel(max(logging.getLevelName(level), logging.WARNING))
    logging.getLogger(_OURS).setLevel(level)
    for name, least in _QUIET_LIBRARIES.items():
        logging.getLogger(name).setLevel(least)


def get_logger(**fields: object) -> FilteringBoundLogger:
    """A logger with ``fields`` on each of its events. Cheap; take one per module."""
    logger: FilteringBoundLogger = structlog.get_logger(**fields)
    return logger


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Adds ``fields`` (``connection_id``, ``call_id``, …) to every event logged inside, also by libraries."""
    with bound_contextvars(**fields):
        yield


def _trace_ids(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where the line belongs, by the names of OpenTelemetry's logs in formats that are not its own."""
    span = tracing.current()
    if span is not None:
        _, event["trace_id"], event["span_id"], _ = span.traceparent.split("-")
    return event


def _service_name(service: str) -> Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    return add
