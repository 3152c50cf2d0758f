r"""Finds where a JSON text holds half of a character, to tell its sender.

A program that cuts strings by UTF-16 units, as JavaScript does, can cut an emoji into halves and writes each
as an escape such as `\ud83d`. That is JSON by the letter (RFC 8259 section 8.2), but no UTF-8 carries it.
"""

import json
import re
from collections import deque
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # Python joins pairs: what is left has lost its other half
_ESCAPED: Final = re.compile(r"\\u[dD][89a-fA-F]")
# The search is breadth-first, so fields of the outer objects are found before any long list is walked.
_MOST_VALUES: Final = 2000
_LONGEST_NAME: Final = 64
_LONGEST_PATH: Final = 100


def explain(text: str) -> tuple[str, object] | None:
    """What is wrong, in the form of msgspec's messages, and the JSON value; None when it is something else.

    The message says where, unless that is deep or behind 2,000 values; it stays short whatever the names are.
    """
    if not _ESCAPED.search(text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = _first_in(value)
    if found is None:
        return None
    path, is_name = found
    what = "A field's name holds" if is_name else "Holds"
    return f"{what} half of a character (a lone UTF-16 surrogate) - at `{path}`", value


def is_whole(text: str) -> bool:
    """Whether `text` holds no half of a character."""
    return not _SURROGATE.search(text)


def _first_in(root: object) -> tuple[str, bool] | None:
    """The path of the first string with a half, or of the first object with such a name (then true)."""
    waiting = deque([("$", root)])
    for _ in range(_MOST_VALUES):
        if not waiting:
            return None
        path, value = waiting.popleft()
        if isinstance(value, str) and not is_whole(value):
            return path, False
        if len(path) > _LONGEST_PATH:
            break
        if isinstance(value, list):
            # The slice keeps what waits bounded too, if a long list holds long lists.
            inner = enumerate(value[: max(0, _MOST_VALUES - len(waiting))])
            waiting.extend((f"{path}[{at}]", item) for at, item in inner)
        elif isinstance(value, dict):
            if not all(map(is_whole, value)):
                return path, True
            waiting.extend((f"{path}.{name[:_LONGEST_NAME]}", item) for name, item in value.items())
    return "$", False
