"""The client as a package of its own: what it exports, its command, and what it says where it cannot run."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import parley_client
from parley_client import declared, events

HOME = Path(parley_client.__file__).parents[1]
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]


def test_what_a_program_matches_on_is_exported() -> None:
    public = {kind.__name__ for kind in events.Event.__args__}
    public |= {"Message", "Chat", "Page", "Sent", "ParleyError", "UnavailableError", "TokenSourceError"}
    assert public <= set(parley_client.__all__)
    assert all(hasattr(parley_client, name) for name in parley_client.__all__)
    assert parley_client.Message is declared.Message


def test_the_command_is_there_and_needs_what_the_package_names() -> None:
    module, _, name = PROJECT["scripts"]["parley"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    needed = {line.split(">")[0] for line in PROJECT["dependencies"]}
    assert needed == {"httpx", "websockets"}


def test_without_its_libraries_it_says_what_to_install() -> None:
    # -S: no site-packages, as with any Python on the machine.
    command = [sys.executable, "-S", "-m", "parley_client", "send"]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False, env={})
    assert done.returncode == 1
    assert "pip install ./clients/python" in done.stderr.splitlines()[-1]
