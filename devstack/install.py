"""Installs the backing servers that are missing, and what the tests need on top."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.packages import INSTALL_LOG, install_packages, log_tail, logged
from devstack.paths import MONGO_REQUIREMENTS, MONGO_VENV
from devstack.programs import find_mongo

if TYPE_CHECKING:
    from collections.abc import Collection

#: The kinds of server that there are.
KINDS = ("redis", "rabbitmq", "mongo")
#: What `make setup` installs: `chaos` sets clocks wrong with libfaketime, and tests ask promtool about the
#: alert rules. Production sees neither.
EVERYTHING = (*KINDS, "faketime", "promtool")

#: Read by each Python of the stand-in's environment when it starts: its many threads hand the interpreter on
#: after 0.1 ms instead of 5. Nothing of ours imports the program for that.
_SWITCH_INTERVAL = "import sys; sys.setswitchinterval(0.0001)\n"


def install(kinds: Collection[str] = EVERYTHING) -> None:
    """Install what is missing of these kinds; says what it does, and nothing when all is there.

    Raises:
        DevstackError: something could not be installed; the message says what to run.
    """
    install_packages(kinds)
    if "mongo" in kinds and not _mongo_is_current():
        _install_mongo()


def _mongo_is_current() -> bool:
    """Whether the stand-in is there and was installed as it is wanted now."""
    stamp = MONGO_VENV / ".installed"
    return find_mongo() is not None and stamp.exists() and stamp.read_text(encoding="utf-8") == _wanted()


def _wanted() -> str:
    return MONGO_REQUIREMENTS.read_text(encoding="utf-8") + _SWITCH_INTERVAL


def _install_mongo() -> None:
    print("setup: installing secantusdb, the MongoDB stand-in, into .venv-devstack", flush=True)
    started = time.monotonic()
    pip = [str(MONGO_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(MONGO_VENV)],
        [*pip, "--disable-pip-version-check", "--requirement", str(MONGO_REQUIREMENTS)],
    )
    for step in steps:
        if logged(step) != 0:
            raise DevstackError(f"secantusdb could not be installed; the end of {INSTALL_LOG}:\n{log_tail()}")
    (site_packages,) = MONGO_VENV.glob("lib/python3*/site-packages")
    (site_packages / "switch_interval.pth").write_text(_SWITCH_INTERVAL, encoding="utf-8")
    (MONGO_VENV / ".installed").write_text(_wanted(), encoding="utf-8")
    size = subprocess.run(["du", "-sm", str(MONGO_VENV)], capture_output=True, text=True, check=True)
    megabytes, seconds = size.stdout.split()[0], time.monotonic() - started
    print(f"setup: .venv-devstack has {megabytes} MB, after {seconds:.0f} s", flush=True)
