"""How long MongoDB takes to answer."""

import functools
from typing import Final

from prometheus_client import Histogram
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from mesh.metrics import MONGO_SECONDS

_MICROSECONDS: Final = 1_000_000


class MongoTiming(CommandListener):
    """Measures every command of a client that has it among its ``event_listeners``.

    The driver calls it from its threads. Waiting for a server to be found is no command, and not measured.
    """

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing to do: the driver measures."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """MongoDB did it; single documents of a bulk may have failed all the same."""
        _timer(event.command_name, "ok").observe(event.duration_micros / _MICROSECONDS)

    def failed(self, event: CommandFailedEvent) -> None:
        """MongoDB refused, or the connection ended before it answered."""
        _timer(event.command_name, "failed").observe(event.duration_micros / _MICROSECONDS)


@functools.cache
def _timer(command: str, result: str) -> Histogram:
    return MONGO_SECONDS.labels(command, result)
