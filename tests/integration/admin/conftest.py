"""The command as it is typed, against the session's servers and databases of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from pymongo import MongoClient

from admin.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed with `--json`."""
        return json.loads(self.out)


@dataclass
class Admin:
    """Runs `python -m admin` with settings of its own and nothing of the caller's."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    settings: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> Answer:
        """In this process, to its end."""
        with self.patch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PARLEY_")]:
                patch.delenv(name)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            try:
                code = main(arguments)
            except SystemExit as end:
                code = int(end.code or 0)
        told = self.capture.readouterr()
        return Answer(code, told.out, told.err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """As a process, left running."""
        return subprocess.Popen(
            [sys.executable, "-m", "admin", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", **self.settings},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass(frozen=True)
class Databases:
    """Both databases of a deployment, empty at first."""

    client: MongoClient[dict[str, Any]]
    parley: Database[dict[str, Any]]
    notify: Database[dict[str, Any]]


@pytest.fixture
def databases(mongo_url: str, mongo_database: str) -> Iterator[Databases]:
    # notify_service's database has one name, so it is emptied for each test.
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url, tz_aware=True)
    with client:
        client.drop_database("parley_notify")
        yield Databases(client, client[mongo_database], client["parley_notify"])
        client.drop_database("parley_notify")


@pytest.fixture
def admin(
    mongo_url: str,
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Admin:
    settings = {"PARLEY_MONGO_URL": mongo_url, "PARLEY_PERSIST_DATABASE": databases.parley.name}
    return Admin(monkeypatch, capsys, settings)
