"""Markers among the deliveries of a queue: recorded once everything that was before them is done."""

from collections.abc import Sequence

from mesh.amqp.deliveries import Ack, Delivery, Handler, Outcome
from persist_service.stores.markers import Markers


class MarkerHandler:
    """A ``mesh.amqp.deliveries.Handler`` around another one, which sees no markers."""

    def __init__(self, header: str, inner: Handler, markers: Markers) -> None:
        self._header = header
        self._inner = inner
        self._markers = markers

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Raises ``Unavailable`` as ``inner`` does, and when the markers cannot be recorded."""
        work = [delivery for delivery in deliveries if self._header not in delivery.headers]
        outcomes = iter(await self._inner(work) if work else ())
        found = [
            str(delivery.headers[self._header]) for delivery in deliveries if self._header in delivery.headers
        ]
        if found:
            await self._markers.put(found)
        return [Ack() if self._header in delivery.headers else next(outcomes) for delivery in deliveries]
