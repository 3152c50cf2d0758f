"""Where devstack keeps things, all inside the checkout and outside version control."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
DIR_VARIABLE = "PARLEY_DEVSTACK_DIR"
PORTS_VARIABLE = "PARLEY_DEVSTACK_PORTS"
"""`+10000` moves every port by so much: a second system, which is another place too."""

_SHIFT = re.compile(r"[+-][0-9]{1,5}")


def port_shift(environ: Mapping[str, str]) -> int:
    """By how much the ports of this system are moved.

    Raises:
        ValueError: the variable holds something else.
    """
    text = environ.get(PORTS_VARIABLE) or "+0"
    if _SHIFT.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not like +10000")
    return int(text)


def run_dir(environ: Mapping[str, str]) -> Path:
    """Data, logs, secrets and the lock of one system; each has its own place."""
    if given := environ.get(DIR_VARIABLE):
        return Path(given).absolute()
    try:
        shift = port_shift(environ)
    except ValueError:  # told when the settings are read
        shift = 0
    return ROOT / ".run" / f"{shift:+d}" if shift else ROOT / ".run"


def naming(environ: Mapping[str, str]) -> str:
    """What stands before a command in a shell, so that it finds the system that `environ` names."""
    variables = (DIR_VARIABLE, PORTS_VARIABLE)
    return "".join(f"{name}={shlex.quote(environ[name])} " for name in variables if environ.get(name))


#: Of the system that the environment of this process names.
RUN_DIR = run_dir(os.environ)
MONGO_VENV = ROOT / ".venv-devstack"
MONGO_REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
