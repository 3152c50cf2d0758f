"""Debian's packages: what is missing is told in one list, or installed, before anything else takes its time.

`python -m devstack.packages run|everything|extras` runs before there is an environment, with the system's
Python; so this needs nothing but the standard library.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.keys import private_folder
from devstack.paths import ROOT, RUN_DIR
from devstack.programs import (
    find_chromium,
    find_faketime,
    find_nginx,
    find_promtool,
    find_rabbitmq,
    find_redis,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

INSTALL_LOG = RUN_DIR / "logs" / "install.log"


def _find_venv() -> bool | None:
    return all(importlib.util.find_spec(module) for module in ("ensurepip", "venv")) or None


#: Debian's package for a kind, and what finds what it brings.
_PACKAGES = {
    "venv": (f"python{sys.version_info.major}.{sys.version_info.minor}-venv", _find_venv),
    "redis": ("redis-server", find_redis),
    "rabbitmq": ("rabbitmq-server", find_rabbitmq),
    "faketime": ("libfaketime", find_faketime),
    "promtool": ("prometheus", find_promtool),
    "nginx": ("nginx-light", find_nginx),
    "chromium": ("chromium", find_chromium),
}
#: What only `make test-extras` needs.
_EXTRAS = ("nginx", "chromium")
#: The kinds that a system needs to run, unless the variable names a server of the user's own.
_RUN = {"venv": None, "redis": "PARLEY_REDIS_URL", "rabbitmq": "PARLEY_AMQP_URL"}


def install_packages(kinds: Collection[str]) -> None:
    """Install those of these kinds that are missing, by apt as root or with sudo; say so.

    No server that comes with them is started, now or at boot.

    Raises:
        DevstackError: there is no right to, or it failed; the message says what to run.
    """
    packages = _missing(kinds)
    if not packages:
        return
    names = " ".join(packages)
    by_hand = f"sudo apt-get install {names}"
    if shutil.which("apt-get") is None:
        raise DevstackError(f"missing: {names}; install them with your system's package manager")
    as_root = _as_root()
    if as_root is None:
        raise DevstackError(f"missing: {names}; run: {by_hand}")
    print(f"setup: installing {names} (apt)", flush=True)
    started = time.monotonic()
    if logged([*as_root, str(ROOT / ".ci" / "apt-install"), *packages]) != 0:
        raise DevstackError(f"apt could not install {names}; run: {by_hand}\n{log_tail()}")
    print(f"setup: {log_tail(1)}, after {time.monotonic() - started:.0f} s", flush=True)
    if missing := _missing(kinds):
        raise DevstackError(f"apt installed {' '.join(missing)}, but not where expected; see {INSTALL_LOG}")


def _missing(kinds: Collection[str]) -> list[str]:
    return [package for kind, (package, find) in _PACKAGES.items() if kind in kinds and find() is None]


def _as_root() -> list[str] | None:
    """What to put before a command; None where that needs a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def logged(argv: Sequence[str]) -> int:
    """Run a command with its output in the install log; its exit code."""
    private_folder(RUN_DIR)
    INSTALL_LOG.parent.mkdir(parents=True, exist_ok=True)
    with INSTALL_LOG.open("ab") as log:
        log.write(f"$ {' '.join(argv)}\n".encode())
        log.flush()
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    return done.returncode


def log_tail(lines: int = 15) -> str:
    """The end of the install log."""
    return "\n".join(INSTALL_LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main(arguments: Sequence[str]) -> int:
    """Install what `run` needs, the `extras`, or `everything` but these."""
    kinds = [kind for kind in _PACKAGES if (kind in _EXTRAS) == (arguments == ["extras"])]
    if arguments == ["run"]:
        kinds = [kind for kind, variable in _RUN.items() if not (variable and os.environ.get(variable))]
    try:
        install_packages(kinds)
    except DevstackError as error:
        print(f"setup: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
