"""The pinned Unicode data are what they say they are."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from contract.unicode_tables import BIDI_CONTROLS, BIDI_FORMATTING, CONTROLS, INVISIBLE

ROOT = Path(__file__).resolve().parents[3]


def points(table: tuple[tuple[int, int], ...]) -> set[int]:
    return {point for first, last in table for point in range(first, last + 1)}


@pytest.mark.timeout(180)
def test_the_table_is_what_the_locked_package_says() -> None:
    # When an upgrade of `regex` fails here: `make unicode`, and the changelog says what became invisible.
    made = subprocess.run(
        [sys.executable, ROOT / ".ci/unicode_tables.py"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "contract/unicode_tables.py").read_text()


def test_the_table_agrees_with_python_about_what_python_knows() -> None:
    invisible, controls = points(INVISIBLE), points(CONTROLS)
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(point))
        if category in {"Cc", "Zs", "Zl", "Zp"} or chr(point).isspace():
            assert point in invisible, hex(point)
        if category in {"Lu", "Ll", "Nd", "Po", "Sm", "Sc", "Co"} and point != 0x2800:
            assert point not in invisible, hex(point)
        assert (point in controls) == (category in {"Cc", "Cs", "Zl", "Zp"}), hex(point)


def test_the_twelve_bidirectional_controls() -> None:
    formatting = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    assert points(BIDI_FORMATTING) == formatting
    assert points(BIDI_CONTROLS) == formatting | {0x061C, 0x200E, 0x200F}
