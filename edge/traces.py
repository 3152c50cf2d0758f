"""Where traces of what clients ask for begin."""

import time
from collections.abc import Callable

from mesh import tracing
from mesh.token_bucket import TokenBucket
from mesh.traceparent import parse


class ClientTraces:
    """Begins spans for frames and requests, and goes on with the traces that clients have begun.

    A client that names a trace decides whether that is recorded, so it could have everything recorded: no
    more than `per_second` of these traces are, and the others are taken for what came without a trace.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = TokenBucket(per_second, max(1.0, per_second)) if per_second > 0 else None
        self._clock = clock

    def begin(
        self, name: str, traceparent: str, attributes: tracing.Attributes | None = None
    ) -> tracing.Span | None:
        """A span for one frame or request; None if it is not recorded."""
        if not tracing.on():
            return None
        return tracing.begin(
            name, parent=self._believed(traceparent), kind=tracing.Kind.SERVER, attributes=attributes
        )

    def _believed(self, traceparent: str) -> str:
        parent = parse(traceparent)
        if parent is None or not parent.sampled:
            return traceparent
        return traceparent if self._budget is not None and not self._budget.take(self._clock()) else ""
