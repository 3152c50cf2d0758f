"""Payloads that are too long for a provider: the text gives way, from its end, between characters. Pure."""

from bisect import bisect_left
from collections.abc import Callable

from contract.text import ELLIPSIS, cluster_ends


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

    def is_too_long(end: int) -> bool:
        return len(render(text[:end] + ELLIPSIS)) > limit

    ends = cluster_ends(text)
    fitting = bisect_left(ends, True, key=is_too_long)
    return render(text[: ends[fitting - 1]].rstrip() + ELLIPSIS if fitting else "")
