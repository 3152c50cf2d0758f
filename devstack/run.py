"""`make run`: the whole system on one machine."""

from __future__ import annotations

import contextlib
import os
import time

from devstack.banner import banner
from devstack.install import KINDS, install
from devstack.keys import load_or_create_keys
from devstack.lock import run_lock
from devstack.paths import RUN_DIR
from devstack.preflight import check_settings, require_given_servers
from devstack.settings import read_settings
from devstack.stop_signals import StopSignals
from devstack.system import System


def run() -> None:
    """Start everything, look after it until Ctrl-C or SIGTERM, and end it in order.

    Raises:
        DevstackError: it could not start; what had started has ended again.
    """
    settings = read_settings(os.environ)
    with run_lock():
        started = time.monotonic()
        keys = load_or_create_keys(RUN_DIR / "secrets")
        system = System(settings, os.environ, keys, _report)
        for warning in check_settings(system.env):
            _report(f"WARNING: {warning}")
        require_given_servers(settings)
        install([kind for kind in KINDS if kind not in settings.given_urls])
        with StopSignals(on_insist=system.kill) as stop:
            try:
                if system.start(stop):
                    _report(f"everything is ready after {time.monotonic() - started:.1f} s")
                    print(banner(settings, system.env), flush=True)
                    system.watch(stop)
            finally:
                system.stop()


def _report(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone: that must not keep anything from ending
        print(f"run: {text}", flush=True)
