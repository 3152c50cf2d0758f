"""Every metric that the code has, as Prometheus sees it."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

MODULES: Final = MappingProxyType(
    {
        "mesh.metrics": "Every process",
        "edge.metrics": "edge",
        "edge.rest.metrics": "edge",
        "chat_service.metrics": "chat_service",
        "persist_service.metrics": "persist_service",
        "notify_service.metrics": "notify_service",
    }
)
"""Where metrics are made, and under which heading docs/metrics.md lists them."""

_KINDS: Final = MappingProxyType({Counter: "counter", Gauge: "gauge", Histogram: "histogram"})


@dataclass(frozen=True)
class Metric:
    """One metric. ``name`` is what a counter is asked for by, ``_total`` included."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> frozenset[str]:
        """The names that its samples have."""
        if self.kind == "histogram":
            return frozenset(f"{self.name}{end}" for end in ("_bucket", "_sum", "_count"))
        return frozenset((self.name,))


def metrics_of(module: str) -> Iterator[Metric]:
    """The metrics that a module makes, in its order."""
    for value in vars(importlib.import_module(module)).values():
        if isinstance(value, MetricWrapperBase):
            (described,) = value.describe()
            kind = _KINDS[type(value)]
            name = f"{described.name}_total" if kind == "counter" else described.name
            yield Metric(name, kind, value._labelnames, described.documentation)


def all_metrics() -> dict[str, Metric]:
    """Every metric by its name."""
    return {metric.name: metric for module in MODULES for metric in metrics_of(module)}
