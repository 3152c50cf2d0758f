"""A provider's words, made fit for the ledger."""

from typing import Final

from contract.text import cut, one_line

MAX_WORDS: Final = 200
"""Characters that are quoted."""


def quote(text: str, *secrets: str) -> str:
    """One line, up to `MAX_WORDS`, without the secrets it may repeat."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[...]")
    return cut(one_line(text), MAX_WORDS, code_points=MAX_WORDS)
