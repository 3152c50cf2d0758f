"""The secrets of a development system, made once so that tokens survive a restart."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = ("PARLEY_SERVICE_SECRET", "PARLEY_JWT_SECRET")

_BYTES = 48


def load_or_create_keys(path: Path) -> dict[str, str]:
    """The secrets by variable, from `NAME=value` lines; missing ones are made. Only the owner reads it."""
    keys: dict[str, str] = {}
    if path.exists():
        path.chmod(0o600)
        lines = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
        keys = {name.strip(): value.strip() for name, _, value in lines if value.strip()}
    missing = [name for name in VARIABLES if name not in keys]
    if missing:
        keys |= {name: secrets.token_urlsafe(_BYTES) for name in missing}
        write_private(path, "".join(f"{name}={value}\n" for name, value in keys.items()))
    return keys


def private_folder(path: Path) -> None:
    """Have a folder that nobody else can look into; one that is there already is closed."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; nobody else can read it at any moment."""
    private_folder(path.parent)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
