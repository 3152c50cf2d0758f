"""When an attempt that did not succeed is followed by another. Pure."""

import math
from typing import Final

FIRST_SECONDS: Final = 2.0
MOST_SECONDS: Final = 600.0
LEAST_SECONDS: Final = 0.5
MAX_RETRY_AFTER_SECONDS: Final = 3600.0
"""A provider may ask for a longer wait; it is asked again after this one."""


def ceiling_seconds(attempt: int) -> float:
    """The longest wait after the given attempt, counted from 1: 2 s, doubled each time, up to 10 minutes."""
    # An exponent without a bound would overflow after a night of failures.
    return min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt - 1, 30))


def next_attempt(
    attempt: int, now_ms: int, expires_at_ms: int, retry_after_seconds: float | None, chance: float
) -> int | None:
    """When to try again, Unix milliseconds; None when that would be past the delivery's time.

    The wait is uniform between half a second and the ceiling ("full jitter", see `mesh.backoff`). What the
    provider asked for comes on top (RFC 9110, 10.2.3), up to an hour: all that it turned away with the same
    words would come back at once otherwise.

    Args:
        attempt: which one did not succeed, counted from 1.
        now_ms: when it ended, Unix milliseconds.
        expires_at_ms: after this no attempt begins.
        retry_after_seconds: what the provider asked for, if it did; nonsense is as good as nothing.
        chance: a random number, 0 to 1.
    """
    wait = LEAST_SECONDS + chance * (ceiling_seconds(attempt) - LEAST_SECONDS)
    wait += polite_seconds(retry_after_seconds)
    at_ms = now_ms + math.ceil(wait * 1000)
    return at_ms if at_ms < expires_at_ms else None


def polite_seconds(retry_after_seconds: float | None) -> float:
    """The part of a provider's wish that is honoured: 0 to an hour."""
    if retry_after_seconds is None or math.isnan(retry_after_seconds):
        return 0.0
    return max(0.0, min(retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
