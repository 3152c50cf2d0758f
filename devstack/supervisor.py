"""Starts a process again when it dies."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack.process import describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.process import ManagedProcess

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
#: A process that lived this long starts over with the first delay when it dies.
STABLE_SECONDS = 30.0


@dataclass(slots=True)
class _Watched:
    process: ManagedProcess
    started_at: float
    delay: float = FIRST_DELAY_SECONDS
    restart_at: float | None = None


class Supervisor:
    """Watches running processes; the owner calls `tick()` a few times a second.

    A death is reported with the last log lines; the restart follows after 1 s, doubling to 30 s.
    """

    def __init__(self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._watched: list[_Watched] = []

    def watch(self, process: ManagedProcess) -> None:
        """Look after a process that was just started."""
        self._watched.append(_Watched(process, self._clock()))

    def tick(self) -> None:
        """Report who died, start again whose time has come. Does not block."""
        now = self._clock()
        for entry in self._watched:
            if entry.process.running:
                if now - entry.started_at >= STABLE_SECONDS:
                    entry.delay = FIRST_DELAY_SECONDS
            elif entry.restart_at is None:
                self._bury(entry, now)
            elif now >= entry.restart_at:
                self._restart(entry, now)

    def _bury(self, entry: _Watched, now: float) -> None:
        process = entry.process
        tail = process.log_tail() or "(it wrote nothing)"
        self._report(
            f"{process.name} died ({describe_exit(process.exit_code)}); the end of {process.log_path}:\n"
            + "\n".join(f"    {line}" for line in tail.splitlines())
        )
        self._schedule(entry, now)

    def _restart(self, entry: _Watched, now: float) -> None:
        entry.started_at, entry.restart_at = now, None
        try:
            entry.process.start()
        except OSError as error:
            self._report(f"{entry.process.name} cannot be started: {error}")
            self._schedule(entry, now)
        else:
            self._report(f"{entry.process.name} started again, process {entry.process.pid}")

    def _schedule(self, entry: _Watched, now: float) -> None:
        self._report(f"{entry.process.name} starts again in {entry.delay:g} s")
        entry.restart_at = now + entry.delay
        entry.delay = min(2 * entry.delay, LONGEST_DELAY_SECONDS)
