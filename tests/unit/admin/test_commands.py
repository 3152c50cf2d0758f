"""The command line as a whole."""

import re
from pathlib import Path

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, PyMongoError

from admin.__main__ import COMMANDS, main
from admin.mongo import in_words

ROOT = Path(__file__).parents[3]


def test_the_manual_has_every_command_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    manual = page.partition("\n## Administration\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z-]+)[ `]", manual, flags=re.MULTILINE)
    assert sorted(listed) == sorted(command.name for command in COMMANDS)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_each_command_tells_what_it_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main((command, "--help"))
    assert ended.value.code == 0
    assert "usage: python -m admin " + command in capsys.readouterr().out


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(())
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_file_that_is_no_folder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_MONGO_URL", "mongodb://127.0.0.1:1")
    (tmp_path / "file").write_text("")
    assert main(("restore", str(tmp_path / "file"))) == 1
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            AutoReconnect(
                "a:1: refused (configured timeouts: connectTimeoutMS: 20000.0ms), Timeout: 5.0s, Topo"
            ),
            "a:1: refused",
        ),
        (
            BulkWriteError(
                {"writeErrors": [{"errmsg": "E11000 dup key", "op": {"content": "what users wrote"}}]}
            ),
            "1 writes failed, the first: E11000 dup key",
        ),
        (
            BulkWriteError(
                {"writeErrors": [], "writeConcernErrors": [{"errmsg": "waiting for replication"}]}
            ),
            "1 writes failed, the first: waiting for replication",
        ),
        (
            OperationFailure("not authorized", 13, {"errmsg": "not authorized", "code": 13}),
            "the user of PARLEY_MONGO_URL lacks a right (docs/operations.md, MongoDB): not authorized",
        ),
    ],
)
def test_errors_of_mongodb_are_told_without_documents_and_settings(error: PyMongoError, told: str) -> None:
    assert in_words(error) == told
