"""The conversions that are written for a tiny protocol; those of the real one have tests of properties."""

from pathlib import Path
from typing import Final

from codegen import conversions
from codegen.protocol import Protocol

EXPECTED: Final = Path(__file__).with_name("tiny_conversions.txt")


def test_the_source_is_as_expected(tiny_protocol: Protocol) -> None:
    assert conversions.write(tiny_protocol) == EXPECTED.read_text()
