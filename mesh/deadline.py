"""How long the call being served may still take: calls made on its behalf take no longer.

Whoever asked has gone away by then, so an answer that comes later helps nobody and costs everybody.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_DEADLINE: ContextVar[float | None] = ContextVar("parley_deadline", default=None)


def begin(seconds: float | None) -> None:
    """Says that the current task, and what it starts from now on, has so many seconds; None: no limit."""
    _DEADLINE.set(None if seconds is None else time.monotonic() + seconds)


def remaining_seconds() -> float | None:
    """What is left, not below 0; None outside of a call."""
    deadline = _DEADLINE.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


@contextmanager
def without_deadline() -> Iterator[None]:
    """For work that a call starts and that goes on whatever becomes of the call."""
    token = _DEADLINE.set(None)
    try:
        yield
    finally:
        _DEADLINE.reset(token)
