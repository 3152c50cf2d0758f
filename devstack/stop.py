"""`make stop`: ends a `make run` from another terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from devstack.errors import DevstackError
from devstack.lock import is_locked, running_pid

_STOP_SECONDS = 120.0


def stop() -> None:
    """Ask the running `make run` to end, and wait until all of it has.

    Raises:
        DevstackError: it did not end in time.
    """
    if not is_locked():
        print("stop: nothing runs")
        return
    pid = running_pid()
    # Without a pid the run itself was killed, and what it left is being ended: there is only the wait.
    print(f"stop: ending process {pid}" if pid else "stop: waiting for the rest of a killed run", flush=True)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_locked():
        if time.monotonic() > deadline:
            raise DevstackError(f"process {pid} has not ended after {_STOP_SECONDS:.0f} s")
        time.sleep(0.05)
    print("stop: everything has ended")
