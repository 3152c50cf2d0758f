"""What is measured of the HTTP API."""

from typing import Final

from prometheus_client import Histogram

HTTP_SECONDS: Final = Histogram(
    "parley_http_seconds",
    "Time to answer an HTTP request, by handler, method and status.",
    ("handler", "method", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
