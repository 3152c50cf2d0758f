"""Payloads that are too long for a provider: the text gives way, from its end, between characters."""

import unicodedata
from collections.abc import Callable
from typing import Final

ELLIPSIS: Final = "…"
_ZERO_WIDTH_JOINER: Final = "\u200d"
_MODIFIERS: Final = range(0x1F3FB, 0x1F400)
"""Skin tones, which belong to the emoji before them."""


class TooLongError(ValueError):
    """It does not fit even without any text."""


def fit(render: Callable[[str, str], bytes], title: str, body: str, limit: int) -> bytes:
    """What `render` makes of the title and the body, or of their longest beginnings that fit.

    The body is cut first and ends with "…" then; only when nothing of it fits is the title cut too.

    Args:
        render: makes the payload of a title and a body; a longer text never makes a shorter payload.
        title: cut last.
        body: cut first.
        limit: bytes of the payload.

    Raises:
        TooLongError: even the payload without any text is longer than `limit`.
    """
    payload = render(title, body)
    if len(payload) <= limit:
        return payload
    payload = _longest(lambda text: render(title, text), body, limit)
    if len(payload) > limit:
        payload = _longest(lambda text: render(text, ""), title, limit)
    if len(payload) > limit:
        raise TooLongError(f"the payload has {len(payload)} bytes without any text, {limit} are allowed")
    return payload


def _longest(render: Callable[[str], bytes], text: str, limit: int) -> bytes:
    """The payload of the longest beginning of the text, with an ellipsis, that fits; else that of no text."""
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(render(text[:middle] + ELLIPSIS)) <= limit:
            fits = middle
        else:
            too_long = middle
    while fits and not _is_boundary(text, fits):
        fits -= 1
    return render(text[:fits].rstrip() + ELLIPSIS if fits else "")


def _is_boundary(text: str, at: int) -> bool:
    """Whether one character, as people see it, ends here. Flags, which are pairs of letters, may be split."""
    after = text[at]
    return (
        text[at - 1] != _ZERO_WIDTH_JOINER
        and after != _ZERO_WIDTH_JOINER
        and ord(after) not in _MODIFIERS
        and not unicodedata.category(after).startswith("M")
    )
