"""An OpenTelemetry collector for tests: takes spans by OTLP over gRPC and keeps them.

async with Collector() as collector:
    ...PARLEY_TRACES_ENDPOINT=collector.endpoint...
    spans = await collector.trace(trace_id, lambda spans: len(spans) > 3)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Span:
    """One span; ids are lower-case hex."""

    service: str
    name: str
    trace_id: str
    id: str
    parent_id: str
    """Empty for the first of a trace."""
    links: frozenset[tuple[str, str]]
    """Trace and span ids."""
    attributes: Mapping[str, Any]
    failure: str
    """Empty when all went well."""
    started_ns: int
    ended_ns: int


class Collector(TraceServiceServicer):
    """Enter it to listen."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._arrived = asyncio.Condition()
        self.spans: list[Span] = []

    @property
    def endpoint(self) -> str:
        """For `PARLEY_TRACES_ENDPOINT`."""
        return f"http://127.0.0.1:{self._port}"

    async def trace(
        self, trace_id: str, whole: Callable[[list[Span]], bool], seconds: float = _WAIT_SECONDS
    ) -> list[Span]:
        """The spans of a trace, in the order in which they began, once they are ``whole``."""
        async with self._arrived:
            try:
                async with asyncio.timeout(seconds):
                    await self._arrived.wait_for(lambda: whole(self._of(trace_id)))
            except TimeoutError:
                raise AssertionError(f"not whole:\n{tree(self._of(trace_id))}") from None
        return self._of(trace_id)

    async def Export(  # noqa: N802 - gRPC gives the name
        self, request: ExportTraceServiceRequest, context: object
    ) -> ExportTraceServiceResponse:
        """Called by exporters."""
        del context
        async with self._arrived:
            for resource_spans in request.resource_spans:
                resource = _attributes(resource_spans.resource.attributes)
                for scope_spans in resource_spans.scope_spans:
                    self.spans += [_span(str(resource["service.name"]), span) for span in scope_spans.spans]
            self._arrived.notify_all()
        return ExportTraceServiceResponse()

    def _of(self, trace_id: str) -> list[Span]:
        return sorted(
            (span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.started_ns
        )

    async def __aenter__(self) -> Self:
        add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call] # as published
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(0)


def tree(spans: list[Span]) -> str:
    """A trace as text, each span below its parent."""
    ids = {span.id for span in spans}
    lines: list[str] = []

    def show(span: Span, depth: int) -> None:
        took = (span.ended_ns - span.started_ns) / 1e6
        lines.append(f"{'  ' * depth}{span.name} [{span.service}] {took:.1f} ms")
        for below in spans:
            if below.parent_id == span.id:
                show(below, depth + 1)

    for span in spans:
        if span.parent_id not in ids:
            show(span, 0)
    return "\n".join(lines)


def _span(service: str, span: WireSpan) -> Span:
    return Span(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_attributes(span.attributes),
        failure=span.status.message,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
