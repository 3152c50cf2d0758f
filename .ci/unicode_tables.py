"""Prints contract/unicode_tables.py from the Unicode data of the locked `regex` package; see `make unicode`.

The table is checked in, so that rules change by a commit and never by an upgrade of Python or of a package.
A test compares it with what this prints.
"""

import sys
from collections.abc import Iterator

import regex

# What `regex` carries, by its documentation; no attribute tells. Renew it together with the table.
VERSION = "18.0.0"

TABLES = (
    (
        "INVISIBLE",
        r"[\p{Default_Ignorable_Code_Point}\p{White_Space}\p{Cc}\p{Zs}\p{Zl}\p{Zp}\u2800]",
        "Default_Ignorable_Code_Point, White_Space, Cc, Zs, Zl, Zp, and U+2800, Braille without dots.",
    ),
    (
        "CONTROLS",
        r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]",
        "Cc, Cs, Zl and Zp: what no line, header or UTF-8 can carry.",
    ),
    ("BIDI_CONTROLS", r"\p{Bidi_Control}", "Bidi_Control: marks, and what is in the next table."),
    (
        "BIDI_FORMATTING",
        r"[\p{bc=LRE}\p{bc=RLE}\p{bc=LRO}\p{bc=RLO}\p{bc=PDF}\p{bc=LRI}\p{bc=RLI}\p{bc=FSI}\p{bc=PDI}]",
        "Explicit directional formatting (Unicode Annex 9): it turns around what follows it.",
    ),
)


def ranges(pattern: str) -> Iterator[tuple[int, int]]:
    """The code points that match, as ranges with both ends."""
    matches = regex.compile(pattern).fullmatch
    first = last = -2
    for point in range(sys.maxunicode + 1):
        if not matches(chr(point)):
            continue
        if point != last + 1:
            if first >= 0:
                yield first, last
            first = point
        last = point
    yield first, last


def lines() -> Iterator[str]:
    """The module."""
    yield '"""Unicode data that text rules need, pinned. Made by `make unicode`; do not edit."""'
    yield ""
    yield "from typing import Final"
    yield ""
    yield f'UNICODE_VERSION: Final = "{VERSION}"'
    for name, pattern, words in TABLES:
        yield ""
        yield f"{name}: Final = ("
        for first, last in ranges(pattern):
            yield f"    (0x{first:04X}, 0x{last:04X}),"
        yield ")"
        yield f'"""{words}"""'


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
