"""Wall-clock time in the two forms that Parley stores and shows."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def now_ms() -> int:
    """Milliseconds since the Unix epoch, UTC. May step backwards when the host's clock is corrected."""
    return time.time_ns() // 1_000_000


def to_rfc3339(epoch_ms: int) -> str:
    """``2026-01-31T12:00:00.000Z``: RFC 3339 in UTC with exactly three decimals.

    Raises:
        OverflowError, ValueError: the time is outside of the years 1 to 9999.
    """
    seconds, millis = divmod(epoch_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}Z"


def from_rfc3339(text: str) -> int:
    """The milliseconds since the Unix epoch of what `to_rfc3339` made.

    Raises:
        ValueError: it is no such text.
    """
    return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
