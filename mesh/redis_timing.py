"""How long Redis takes to answer."""

import functools

from prometheus_client import Histogram

from mesh.metrics import REDIS_SECONDS


@functools.cache
def timer(command: str) -> Histogram:
    """Where the time of a command goes; ``timer("GET").time()`` measures a block.

    The commands are those that the code names, so there are few. Commands that go together are "pipeline".
    """
    return REDIS_SECONDS.labels(command)
