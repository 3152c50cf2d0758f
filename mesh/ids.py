"""ObjectIds without a MongoDB driver, so that a service which never talks to MongoDB can still mint ids.

Layout (MongoDB manual, "ObjectId"): 4 bytes big-endian seconds, 5 random bytes per process, 3 bytes counter
starting at a random value. Written as 24 lower-case hexadecimal digits.
"""

import itertools
import os
import re
import time

_OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)
_COUNTER_MASK = 0xFFFFFF


class ObjectIdFactory:
    """Mints ids that are unique across processes and, within a second, ascending in one process.

    The random part is drawn when the factory is made: a process that forks must make a new one.
    """

    def __init__(self) -> None:
        self._process = os.urandom(5)
        self._counter = itertools.count(int.from_bytes(os.urandom(3)))

    def __call__(self) -> str:
        """A new id as 24 hexadecimal digits. ``next`` on a count is atomic, so any thread may call this."""
        seconds = int(time.time()) & 0xFFFFFFFF
        counter = next(self._counter) & _COUNTER_MASK
        return (seconds.to_bytes(4) + self._process + counter.to_bytes(3)).hex()


new_object_id = ObjectIdFactory()


def is_object_id(text: str) -> bool:
    """Whether ``text`` is an id in the one spelling Parley uses (24 digits, lower case)."""
    return _OBJECT_ID.fullmatch(text) is not None


def object_id_seconds(object_id: str) -> int:
    """The second since the Unix epoch at which a valid id was minted."""
    return int(object_id[:8], 16)
