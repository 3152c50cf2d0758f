"""The one rule for user ids, the same at every door: tokens, REST, gRPC, the broker, the operator's command.

The customer's identity provider gives the ids, so the rule refuses only what would break something or
deceive: Persian and Malayalam need joiners, emoji too, and spaces of any kind are the customer's
business. Ids are compared code point by code point, never normalised.
"""

import re
from typing import Final

from contract.text import character_class, is_visible
from contract.unicode_tables import BIDI_CONTROLS, CONTROLS

MAX_USER_ID_LENGTH: Final = 128
"""Code points, so up to 512 bytes; what an id costs is counted in bytes."""

USER_ID_RULE: Final = (
    f"must have 1 to {MAX_USER_ID_LENGTH} characters, at least one of them visible, and no control "
    "characters, line separators, surrogates or bidirectional controls"
)
"""What is told to those who break it, behind the field's name."""

_REFUSED: Final = re.compile(f"[{character_class(CONTROLS, BIDI_CONTROLS)}]")


def is_user_id(text: str) -> bool:
    """Whether ``text`` keeps `USER_ID_RULE`."""
    return 0 < len(text) <= MAX_USER_ID_LENGTH and is_visible(text) and _REFUSED.search(text) is None
