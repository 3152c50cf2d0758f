"""Installs the backing servers that are missing, and what the fault suite needs on top."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.faketime import find_faketime
from devstack.keys import private_folder
from devstack.paths import MONGO_REQUIREMENTS, MONGO_VENV, RUN_DIR
from devstack.promtool import find_promtool
from devstack.servers.mongo import find_mongo
from devstack.servers.rabbitmq import find_rabbitmq
from devstack.servers.redis import find_redis

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: The kinds of server that there are.
KINDS = ("redis", "rabbitmq", "mongo")
#: What `make setup` installs: `chaos` sets clocks wrong with libfaketime, and tests ask promtool about the
#: alert rules. Production sees neither.
EVERYTHING = (*KINDS, "faketime", "promtool")

#: Debian's package for a kind, and what finds the program that it brings.
_PACKAGES = {
    "redis": ("redis-server", find_redis),
    "rabbitmq": ("rabbitmq-server", find_rabbitmq),
    "faketime": ("libfaketime", find_faketime),
    "promtool": ("prometheus", find_promtool),
}

#: Read by each Python of the stand-in's environment when it starts: its many threads hand the interpreter on
#: after 0.1 ms instead of 5. Nothing of ours imports the program for that.
_SWITCH_INTERVAL = "import sys; sys.setswitchinterval(0.0001)\n"

_LOG = RUN_DIR / "logs" / "install.log"


def install(kinds: Collection[str] = EVERYTHING) -> None:
    """Install what is missing of these kinds; says what it does, and nothing when all is there.

    Redis and RabbitMQ are Debian packages, by apt as root or with sudo. Their install scripts may start
    servers of their own on the default ports; devstack uses other ports and does not touch them.

    Raises:
        DevstackError: something could not be installed; the message says what to run.
    """
    if packages := _missing_packages(kinds):
        _install_packages(packages)
        if missing := _missing_packages(kinds):
            raise DevstackError(f"apt installed {' '.join(missing)}, but not where expected; see {_LOG}")
    if "mongo" in kinds and not _mongo_is_current():
        _install_mongo()


def _missing_packages(kinds: Collection[str]) -> list[str]:
    return [package for kind, (package, find) in _PACKAGES.items() if kind in kinds and find() is None]


def _install_packages(packages: Sequence[str]) -> None:
    names = " ".join(packages)
    by_hand = f"sudo apt-get install {names}"
    if shutil.which("apt-get") is None:
        raise DevstackError(f"missing: {names}; install them with your system's package manager")
    if os.geteuid() == 0:
        as_root = []
    elif _sudo_works():
        as_root = ["sudo", "-n"]
    else:
        raise DevstackError(f"missing: {names}; run: {by_hand}")
    print(f"setup: installing {names} (apt)", flush=True)
    # An update that fails for one of several sources is no obstacle: the install tells.
    _logged([*as_root, "apt-get", "update", "-qq"])
    apt_install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if _logged([*as_root, "env", "DEBIAN_FRONTEND=noninteractive", *apt_install]) != 0:
        raise DevstackError(f"apt could not install {names}; run: {by_hand}\n{_log_tail()}")


def _sudo_works() -> bool:
    """Whether sudo is there and asks for no password."""
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


def _mongo_is_current() -> bool:
    """Whether the stand-in is there and was installed as it is wanted now."""
    stamp = MONGO_VENV / ".installed"
    return find_mongo() is not None and stamp.exists() and stamp.read_text(encoding="utf-8") == _wanted()


def _wanted() -> str:
    return MONGO_REQUIREMENTS.read_text(encoding="utf-8") + _SWITCH_INTERVAL


def _install_mongo() -> None:
    print("setup: installing secantusdb, the MongoDB stand-in, into .venv-devstack", flush=True)
    pip = [str(MONGO_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(MONGO_VENV)],
        [*pip, "--disable-pip-version-check", "--requirement", str(MONGO_REQUIREMENTS)],
    )
    for step in steps:
        if _logged(step) != 0:
            raise DevstackError(f"secantusdb could not be installed; the end of {_LOG}:\n{_log_tail()}")
    (site_packages,) = MONGO_VENV.glob("lib/python3*/site-packages")
    (site_packages / "switch_interval.pth").write_text(_SWITCH_INTERVAL, encoding="utf-8")
    (MONGO_VENV / ".installed").write_text(_wanted(), encoding="utf-8")


def _logged(argv: Sequence[str]) -> int:
    """Run a command with its output in the install log; its exit code."""
    private_folder(RUN_DIR)
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    with _LOG.open("ab") as log:
        log.write(f"$ {' '.join(argv)}\n".encode())
        log.flush()
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    return done.returncode


def _log_tail(lines: int = 15) -> str:
    return "\n".join(_LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
