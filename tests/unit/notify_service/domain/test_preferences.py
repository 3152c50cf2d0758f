"""What preferences may say, and when a muting is over."""

from __future__ import annotations

import pytest

from mesh.errors import InvalidArgument
from notify_service.domain.preferences import MutedChat, Preferences, QuietHours, check_preferences

CHAT = "6561a0b1c2d3e4f506172839"


@pytest.mark.parametrize(
    ("until_ms", "at_ms", "muted"), [(0, 10**15, True), (5, 4, True), (5, 5, False), (5, 6, False)]
)
def test_a_muting_ends_at_its_time(until_ms: int, at_ms: int, muted: bool) -> None:  # noqa: FBT001
    chat = MutedChat(CHAT, until_ms)
    assert chat.is_muted(at_ms) is muted
    assert Preferences(muted_chats=(chat,)).without_ended(at_ms).muted_chats == ((chat,) if muted else ())


@pytest.mark.parametrize(
    "quiet_hours",
    [
        QuietHours(0, 1439, "UTC"),
        QuietHours(1320, 420, "Europe/Berlin"),
        QuietHours(1, 0, "America/Argentina/Buenos_Aires"),
    ],
)
def test_quiet_hours_of_any_zone(quiet_hours: QuietHours) -> None:
    check_preferences(Preferences(quiet_hours=quiet_hours, muted_chats=(MutedChat(CHAT),)))


@pytest.mark.parametrize(
    ("preferences", "field"),
    [
        (Preferences(quiet_hours=QuietHours(1440, 0, "UTC")), "quiet_hours.start_minute"),
        (Preferences(quiet_hours=QuietHours(0, 1440, "UTC")), "quiet_hours.end_minute"),
        (Preferences(quiet_hours=QuietHours(60, 60, "UTC")), "quiet_hours.end_minute"),
        *(
            (Preferences(quiet_hours=QuietHours(0, 1, zone)), "quiet_hours.time_zone")
            for zone in (
                "",
                "Mars/Base",
                "europe/berlin",
                "/etc/passwd",
                "../UTC",
                "Europe",
                "UTC\0",
                "+01:00",
            )
        ),
        (Preferences(muted_chats=(MutedChat("x"),)), "muted_chats.chat_id"),
        (Preferences(muted_chats=(MutedChat(CHAT.upper()),)), "muted_chats.chat_id"),
        (Preferences(muted_chats=(MutedChat(CHAT, -1),)), "muted_chats.until_ms"),
        (Preferences(muted_chats=(MutedChat(CHAT, 2**62),)), "muted_chats.until_ms"),
        (Preferences(muted_chats=tuple(MutedChat(f"{n:024x}") for n in range(1001))), "muted_chats"),
    ],
)
def test_a_broken_limit_is_told_by_its_field(preferences: Preferences, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_preferences(preferences)
    assert refusal.value.message.startswith(f"preferences.{field}: ")
