"""A provider's words, made fit for the ledger."""

from typing import Final

MAX_WORDS: Final = 200
"""Characters that are quoted."""


def quote(text: str, *secrets: str) -> str:
    """One line of printable characters, up to `MAX_WORDS`, without the secrets it may repeat."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[...]")
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:MAX_WORDS]
