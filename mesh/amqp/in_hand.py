"""How old what a consumer is handling is."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mesh.ids import is_object_id, object_id_seconds
from mesh.metrics import QUEUE_OLDEST_SECONDS


class InHand:
    """Tells the age of the oldest delivery in the hands of the one consumer that a process has of a queue.

    A queue is read in order, so while a batch waits for MongoDB, say, this is the age of the queue's head. A
    message's id holds the second in which it was published, and a retry keeps it.
    """

    def __init__(self, queue: str) -> None:
        self._since: int | None = None
        QUEUE_OLDEST_SECONDS.labels(queue).set_function(self.age_seconds)

    @contextmanager
    def holding(self, message_ids: Iterable[str]) -> Iterator[None]:
        """The deliveries with these ids are in hand inside the block."""
        self._since = min(map(object_id_seconds, filter(is_object_id, message_ids)), default=None)
        try:
            yield
        finally:
            self._since = None

    def age_seconds(self) -> float:
        """0 while nothing is in hand."""
        return 0.0 if self._since is None else max(0.0, time.time() - self._since)
