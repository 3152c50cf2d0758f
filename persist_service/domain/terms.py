"""Which words of a message it can be found by."""

import re
import unicodedata

TERMS_LIMIT = 256
"""Distinct terms kept of one message."""
TERM_LENGTH_LIMIT = 64
"""Characters kept of one term."""

_WORD = re.compile(r"\w+")


def terms_of(text: str) -> tuple[str, ...]:
    """The distinct words in order of appearance, compatibility-composed (NFKC) and case-folded.

    Folded rather than lower-cased, so that "STRASSE" and "Straße" are one term (Unicode Standard 3.13).
    """
    # Composed once more: folding may leave a sequence that has a composed form.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = (match.group()[:TERM_LENGTH_LIMIT] for match in _WORD.finditer(folded))
    return tuple(dict.fromkeys(words))[:TERMS_LIMIT]
