"""Texts that people see: whether they show anything, and where they may be cut.

What counts is Unicode as pinned in `contract.unicode_tables`, so that every service and every Python agree. A
character that is not assigned in that version counts as visible.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import regex

from contract.unicode_tables import BIDI_FORMATTING, CONTROLS, INVISIBLE

ELLIPSIS: Final = "…"
CODE_POINTS_PER_CLUSTER: Final = 3
"""What a cut text may have on average; people write fewer in any script. It bounds heaps of accents."""


def character_class(*tables: Iterable[tuple[int, int]]) -> str:
    """The inside of a character class of `re`, from ranges of code points."""
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for table in tables for first, last in table)


_VISIBLE: Final = re.compile(f"[^{character_class(INVISIBLE)}]")
_CONTROL: Final = re.compile(f"[{character_class(CONTROLS)}]")
_BREAKS_A_LINE: Final = re.compile(f"[{character_class(CONTROLS, BIDI_FORMATTING)}]")
_CLUSTER: Final = regex.compile(r"\X")


def is_visible(text: str) -> bool:
    """Whether the text shows anything: it has a character that is neither blank nor ignored by renderers."""
    return _VISIBLE.search(text) is not None


def has_controls(text: str) -> bool:
    """Whether it holds control characters, line or paragraph separators, or halves of surrogate pairs."""
    return _CONTROL.search(text) is not None


def one_line(text: str) -> str:
    """The text on one line, white space and controls made single spaces; empty when it shows nothing.

    Explicit directional formatting goes too: what follows a name would be shown in another order.
    """
    line = " ".join(_BREAKS_A_LINE.sub(" ", text).split())
    return line if is_visible(line) else ""


def cut(text: str, clusters: int, *, code_points: int | None = None, ellipsis: str = "") -> str:
    """The text, or its beginning of at most `clusters` characters as people count them, `ellipsis` included.

    Those are extended grapheme clusters (Unicode Annex 29): no accent, flag or family is taken apart. The
    result has at most `code_points`, by default `clusters * CODE_POINTS_PER_CLUSTER`, each of up to 4 bytes.
    No more than that is looked at, however long the text is. Where no cluster fits the first is cut inside.
    """
    most = clusters * CODE_POINTS_PER_CLUSTER if code_points is None else code_points
    if len(text) <= min(clusters, most) or (end := _end(text, clusters, most)) == len(text):
        return text
    if not ellipsis:
        return text[:end]
    return text[: _end(text, clusters - 1, most - 1)].rstrip() + ellipsis


def summary(text: str, clusters: int) -> str:
    """The beginning of a text on one line, an ellipsis where more would be seen; empty if it shows nothing.

    White space and controls are as in `one_line`, the rest as in `cut`. From the first visible character on a
    few hundred are looked at, however long the text is.
    """
    first = _VISIBLE.search(text)
    if first is None:
        return ""
    start, most = first.start(), clusters * (CODE_POINTS_PER_CLUSTER + 1)
    end = start + _end(text[start : start + most + 1], most, most)
    line = one_line(text[start:end])
    return cut(line + ELLIPSIS if _VISIBLE.search(text, end) else line, clusters, ellipsis=ELLIPSIS)


def cluster_ends(text: str) -> list[int]:
    """Where the clusters of a text end: every place at which it may be cut, its end included."""
    return [found.end() for found in _CLUSTER.finditer(text)]


def _end(text: str, clusters: int, code_points: int) -> int:
    """The end of the longest beginning of whole clusters that has no more than both."""
    # One more is looked at, so that a cluster that goes on there is seen to.
    text = text[: code_points + 1]
    if text.isascii() and "\r\n" not in text:  # the one cluster of ASCII that has two characters
        return min(len(text), clusters, code_points)
    found = _up_to(clusters).match(text)
    if found is not None and found.end() <= code_points:
        return found.end()
    whole = [end for end in cluster_ends(text) if end <= code_points]
    return whole[-1] if whole else code_points


@lru_cache
def _up_to(clusters: int) -> "regex.Pattern[str]":
    return regex.compile(rf"\X{{0,{clusters}}}")
