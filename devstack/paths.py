"""Where devstack keeps things, all inside the checkout and outside version control."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN_DIR = ROOT / ".run"
MONGO_VENV = ROOT / ".venv-devstack"
MONGO_REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
