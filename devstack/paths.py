"""Where devstack keeps things, all inside the checkout and outside version control."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Data, logs, secrets and the lock of `make run`; another place makes another system.
RUN_DIR = Path(os.environ.get("PARLEY_DEVSTACK_DIR") or ROOT / ".run").absolute()
MONGO_VENV = ROOT / ".venv-devstack"
MONGO_REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
