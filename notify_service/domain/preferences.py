"""What a user wants to be notified."""

from dataclasses import dataclass, replace
from functools import cache
from zoneinfo import available_timezones

from contract import limits
from mesh.ids import is_object_id
from notify_service.domain.limits import invalid

MINUTES_OF_DAY = 1440
_LAST_MS = 253_402_300_799_999  # of the year 9999: what every calendar here can hold


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the user's day when nothing is pushed."""

    start_minute: int
    """Minute of the day, 0 to 1439."""
    end_minute: int
    """Minute of the day they end before; smaller than the start when they span midnight, never equal."""
    time_zone: str
    """A name of the IANA time zone database."""


@dataclass(frozen=True, slots=True)
class MutedChat:
    """A chat that is kept quiet."""

    chat_id: str
    until_ms: int = 0
    """Until when, Unix milliseconds; 0 for good."""

    def is_muted(self, at_ms: int) -> bool:
        """Whether the muting is not over yet."""
        return self.until_ms == 0 or at_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Preferences:
    """One user's preferences. The defaults hold for a user who never set any."""

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

    def without_ended(self, at_ms: int) -> "Preferences":
        """The same without chats whose muting is over."""
        return replace(self, muted_chats=tuple(chat for chat in self.muted_chats if chat.is_muted(at_ms)))


def check_preferences(preferences: Preferences) -> None:
    """Raises `InvalidArgument`, naming the field."""
    if len(preferences.muted_chats) > limits.MUTED_CHATS:
        raise invalid(f"preferences.muted_chats: at most {limits.MUTED_CHATS} chats")
    for chat in preferences.muted_chats:
        check_muted_chat("preferences.muted_chats", chat)
    if preferences.quiet_hours is not None:
        _check_quiet_hours(preferences.quiet_hours)


def check_muted_chat(field: str, chat: MutedChat) -> None:
    """Raises `InvalidArgument`, naming the field."""
    require_chat_id(f"{field}.chat_id", chat.chat_id)
    if not 0 <= chat.until_ms <= _LAST_MS:
        raise invalid(f"{field}.until_ms: must be a time in the years 1970 to 9999, or 0")


def require_chat_id(field: str, chat_id: str) -> None:
    """Raises `InvalidArgument` unless it can be the id of a chat."""
    if not is_object_id(chat_id):
        raise invalid(f"{field}: must be 24 lower-case hex digits")


def _check_quiet_hours(hours: QuietHours) -> None:
    for field, minute in (("start_minute", hours.start_minute), ("end_minute", hours.end_minute)):
        if not 0 <= minute < MINUTES_OF_DAY:
            raise invalid(f"preferences.quiet_hours.{field}: must be 0 to {MINUTES_OF_DAY - 1}")
    if hours.start_minute == hours.end_minute:
        raise invalid("preferences.quiet_hours.end_minute: must not be the start")
    if hours.time_zone not in _time_zones():
        raise invalid(
            "preferences.quiet_hours.time_zone: is not in the IANA time zone database, as Europe/Berlin is"
        )


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
