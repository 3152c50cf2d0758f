"""Where spans go: to an OpenTelemetry collector, by OTLP over gRPC, from a thread of its own.

A collector that is down, or slow, costs spans and nothing else: what waits is bounded, what is over is
dropped and counted, and no call ever waits for it. Imported only where traces are on.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.metrics import TRACE_SPANS

_WAITING: Final = 4096
"""Spans that wait at most, some 2 KiB each."""
_BATCH: Final = 512
_EVERY_MS: Final = 1_000.0
_EXPORT_SECONDS: Final = 5.0
_GOODBYE_SECONDS: Final = 2.0
_log = get_logger()


class Exporting:
    """Spans on their way to ``endpoint``. ``close`` it after the last one has ended."""

    def __init__(self, service: str, endpoint: str, *, http_proxy: bool = False) -> None:
        """``http_proxy``: whether to go through the proxy that the environment names, if it names one."""
        # `OTEL_EXPORTER_OTLP_HEADERS` and the other standard variables are read by the exporter itself.
        options: Any = (("grpc.enable_http_proxy", int(http_proxy)),)  # declared as pairs of strings
        self._exporter = _Exporter(
            OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS, channel_options=options)
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # mesh.tracing begins no span of a trace that is not recorded
            resource=Resource.create(
                {
                    "service.name": service,
                    "service.namespace": "parley",
                    "service.instance.id": new_object_id(),
                }
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_Processor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        """What makes spans that go there."""
        return self._provider.get_tracer("parley")

    def close(self) -> None:
        """Sends what waits, for 2 s at most: a collector that is down does not keep a process."""
        goodbye = threading.Thread(target=self._provider.shutdown, name="traces goodbye", daemon=True)
        goodbye.start()
        goodbye.join(_GOODBYE_SECONDS)
        if goodbye.is_alive():
            self._exporter.shutdown()


class _Exporter(SpanExporter):
    """Counts, and tells an outage once when it begins and once when it ends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self._closed = threading.Event()
        self.taken = 0
        """Spans that wait no more; written by the exporting thread alone."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called in the exporting thread; waits for the collector."""
        self.taken += len(spans)
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        TRACE_SPANS.labels("failed" if failed else "exported").inc(len(spans))
        if failed != self._failing and not self._closed.is_set():
            self._failing = failed
            if failed:
                _log.warning("traces.collector_away", spans=len(spans))
            else:
                _log.info("traces.collector_back")
        return result

    def shutdown(self) -> None:
        """Gives up on what is under way. Called by the processor, and by whoever waits for it no longer."""
        if not self._closed.is_set():
            self._closed.set()
            self._exporter.shutdown()


class _Processor(BatchSpanProcessor):
    """Drops the newest, and counts it, where the SDK's own drops the oldest and logs each."""

    def __init__(self, exporter: _Exporter) -> None:
        super().__init__(
            exporter,
            max_queue_size=_WAITING + _BATCH,
            schedule_delay_millis=_EVERY_MS,
            max_export_batch_size=_BATCH,
        )
        self._taken_by = exporter
        self._given = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Called where a span ends, in the event loop's thread."""
        if self._given - self._taken_by.taken >= _WAITING:
            TRACE_SPANS.labels("dropped").inc()
            return
        self._given += 1
        super().on_end(span)
