"""What providers answer: read without trust, and made fit for the ledger."""

from typing import Final, TypeVar

import msgspec

from contract.text import cut, one_line

MAX_QUOTED: Final = 200
"""Characters that are quoted."""

T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T | None:
    """What a JSON body says; None when it is not of this kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Besides what is no JSON: JSON in broken UTF-8, or nested without an end.
        return None


def quote(text: str, *secrets: str) -> str:
    """One line, up to `MAX_QUOTED`, without the secrets it may repeat."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[...]")
    return cut(one_line(text), MAX_QUOTED, code_points=MAX_QUOTED)
