"""What a user wants to be told."""

from dataclasses import dataclass

MAX_MUTED_CHATS = 1000


@dataclass(frozen=True, slots=True)
class Preferences:
    """One user's wishes. The defaults hold for a user who never set any."""

    enabled: bool = True
    muted_chat_ids: frozenset[str] = frozenset()
    show_preview: bool = True
    """False: notifications say that there is a message and not what it says."""
