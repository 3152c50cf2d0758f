"""docs/security.md names a test for every threat, and every test that it names exists."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "security.md"
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())))
SECTIONS: Final = ("Threats at the door", "Threats inside", "Threats going out")


def _rows(section: str) -> list[str]:
    text = PAGE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    functions = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name.startswith("test_")
    assert name in functions


@pytest.mark.parametrize("section", SECTIONS)
def test_every_threat_has_its_test(section: str) -> None:
    rows = _rows(section)
    assert len(rows) > 4
    for row in rows:
        threat, measure, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert threat
        assert measure
        assert re.fullmatch(r"(`tests/[\w/]+\.py::test_\w+`(, )?)+", tests), threat


def test_what_is_not_protected_is_said() -> None:
    assert PAGE.read_text().partition("## What is not protected\n")[2].count("\n- **") >= 5
