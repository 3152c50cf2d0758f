"""Numbers that come as text: headers, query strings, arguments."""

from typing import Final

_MOST_DIGITS: Final = 18  # always fits into 64 bits


def parse_number(text: str) -> int | None:
    """The number that `text` writes with 1 to 18 of the digits 0 to 9, and nothing else; else None.

    `int` takes more: signs, spaces, underscores and the digits of other scripts. `str.isdigit` lets some
    through that `int` refuses (`²`), and both take thousands of digits, where `int` raises.
    """
    if len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit():
        return int(text)
    return None
