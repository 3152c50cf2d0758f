"""An outage as the log tells it: once when it begins and once when it is over, not for each failed call."""

import time
from collections.abc import Callable
from typing import Final

from mesh.logs import get_logger

_QUIET_SECONDS: Final = 3.0
_log = get_logger()


class Outage:
    """Of one thing that works or fails, again and again; not shared by things that fail each for itself.

    It is over with the first success that comes ``quiet_seconds`` or later after the last failure: while some
    calls fail and others do not, nothing is logged. ``clock`` gives seconds that only go forward. Both lines
    of the log have ``facts``: whose outage it is.
    """

    def __init__(
        self,
        begun: str,
        over: str,
        *,
        quiet_seconds: float = _QUIET_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        **facts: object,
    ) -> None:
        self._begun, self._over = begun, over
        self._quiet = quiet_seconds
        self._clock = clock
        self._facts = facts
        self._since: float | None = None
        self._last = 0.0
        self._failures = 0

    def failed(self, **facts: object) -> None:
        """Notes a failure; a warning with these facts if it is the first."""
        self._last = self._clock()
        self._failures += 1
        if self._since is None:
            self._since = self._last
            _log.warning(self._begun, **self._facts, **facts)

    def worked(self) -> None:
        """Notes a success."""
        if self._since is None:
            return
        now = self._clock()
        if now - self._last >= self._quiet:
            took = round(now - self._since, 1)
            _log.info(self._over, **self._facts, after_seconds=took, failures=self._failures)
            self._since, self._failures = None, 0
