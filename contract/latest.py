"""The last message of a chat, as lists of chats carry it."""

from typing import Final

from contract.text import cut

LATEST_TEXT_LENGTH: Final = 200
"""Characters as people count them, so up to 600 code points (`contract.text.cut`)."""


def latest_text(content: str) -> str:
    """The beginning of a message that lists show."""
    return cut(content, LATEST_TEXT_LENGTH)
