"""What a user wants to be told."""

from dataclasses import dataclass

MAX_MUTED_CHATS = 1000
MINUTES_OF_DAY = 1440


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the user's day when nothing is pushed."""

    start_minute: int
    """Minute of the day, 0 to 1439."""
    end_minute: int
    """Minute of the day they end before; smaller than the start when they span midnight, never equal to it."""
    time_zone: str
    """A name of the IANA time zone database."""


@dataclass(frozen=True, slots=True)
class MutedChat:
    """A chat that is kept quiet."""

    chat_id: str
    until_ms: int = 0
    """Until when, Unix milliseconds; 0 for good."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """One user's wishes. The defaults hold for a user who never set any."""

    enabled: bool = True
    muted_chats: tuple[MutedChat, ...] = ()
    show_preview: bool = True
    """False: notifications say that there is a message and not what it says."""
    quiet_hours: QuietHours | None = None
    direct_overrides: bool = False
    """Direct messages come through quiet hours."""
    mention_overrides: bool = True
    """A message that mentions the user comes through quiet hours and muted chats."""
    email_digest: bool = True
    """What stays unread is mailed, where the user has a device of kind `EMAIL`."""
