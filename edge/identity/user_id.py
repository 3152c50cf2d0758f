"""What may name a user."""

import unicodedata
from typing import Final

MAX_USER_ID_LENGTH: Final = 128
# Control characters and line breaks break logs and headers; lone surrogates have no UTF-8.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_user_id(text: str) -> bool:
    """Whether ``text`` may be a user's id: 1 to 128 characters of any kind but control."""
    if not 0 < len(text) <= MAX_USER_ID_LENGTH:
        return False
    return text.isalnum() or is_clean(text)


def is_clean(text: str) -> bool:
    """Whether ``text`` is free of control characters, line breaks and what UTF-8 cannot carry."""
    return not any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in text)
