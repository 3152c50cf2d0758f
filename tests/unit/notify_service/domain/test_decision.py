"""Whether a user is notified, and through which devices."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from notify_service.domain.decision import (
    Decision,
    Occasion,
    Policy,
    Reason,
    SendTo,
    Suppress,
    decide,
    is_quiet,
)
from notify_service.domain.device import Device, DeviceKind, implicit_log_device
from notify_service.domain.person import Person
from notify_service.domain.preferences import MutedChat, Preferences, QuietHours

CHAT, OTHER_CHAT = "c" * 24, "f" * 24
PHONE = Device("d" * 24, "bob", DeviceKind.FCM, "token", "", 1, 2)
LAPTOP = Device("e" * 24, "bob", DeviceKind.WEB_PUSH, "https://push.example/1", "", 1, 1)
MAILBOX = Device("a" * 24, "bob", DeviceKind.EMAIL, "bob@example.com", "", 1, 1)
PRODUCTION = Policy({DeviceKind.FCM, DeviceKind.WEB_PUSH}, implicit_log_device=False, idle_ms=300_000)
DEVELOPMENT = Policy({DeviceKind.LOG}, implicit_log_device=True, idle_ms=300_000)
NIGHT = QuietHours(22 * 60, 7 * 60, "Europe/Berlin")


def berlin(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)


MIDNIGHT, NOON = berlin("2026-07-01T00:00:00"), berlin("2026-07-01T12:00:00")
GROUP = Occasion(CHAT, direct=False, mentioned=False, at_ms=MIDNIGHT)
DIRECT = replace(GROUP, direct=True)
MENTION = replace(GROUP, mentioned=True)
TOLD = SendTo((PHONE,))


@pytest.mark.parametrize(
    ("occasion", "wishes", "expected"),
    [
        (GROUP, Preferences(), TOLD),
        (GROUP, Preferences(enabled=False), Suppress(Reason.DISABLED)),
        (MENTION, Preferences(enabled=False), Suppress(Reason.DISABLED)),
        (GROUP, Preferences(muted_chats=(MutedChat(CHAT),)), Suppress(Reason.MUTED)),
        (GROUP, Preferences(muted_chats=(MutedChat(OTHER_CHAT),)), TOLD),
        (GROUP, Preferences(muted_chats=(MutedChat(CHAT, MIDNIGHT + 1),)), Suppress(Reason.MUTED)),
        (GROUP, Preferences(muted_chats=(MutedChat(CHAT, MIDNIGHT),)), TOLD),
        (GROUP, Preferences(quiet_hours=NIGHT), Suppress(Reason.QUIET_HOURS)),
        (replace(GROUP, at_ms=NOON), Preferences(quiet_hours=NIGHT), TOLD),
        # Direct messages come through quiet hours for those who wish so, and through no muting.
        (DIRECT, Preferences(quiet_hours=NIGHT), Suppress(Reason.QUIET_HOURS)),
        (DIRECT, Preferences(quiet_hours=NIGHT, direct_overrides=True), TOLD),
        (GROUP, Preferences(quiet_hours=NIGHT, direct_overrides=True), Suppress(Reason.QUIET_HOURS)),
        (
            DIRECT,
            Preferences(muted_chats=(MutedChat(CHAT),), direct_overrides=True),
            Suppress(Reason.MUTED),
        ),
        # A mention comes through both, unless the user does not wish it.
        (MENTION, Preferences(quiet_hours=NIGHT, muted_chats=(MutedChat(CHAT),)), TOLD),
        (MENTION, Preferences(quiet_hours=NIGHT, mention_overrides=False), Suppress(Reason.QUIET_HOURS)),
        (
            MENTION,
            Preferences(muted_chats=(MutedChat(CHAT),), mention_overrides=False),
            Suppress(Reason.MUTED),
        ),
    ],
)
def test_wishes(occasion: Occasion, wishes: Preferences, expected: Decision) -> None:
    assert decide(occasion, Person("bob", wishes, (PHONE,)), PRODUCTION) == expected


def test_goes_to_every_device_that_is_told_at_once_in_their_order() -> None:
    person = Person("bob", Preferences(), (PHONE, MAILBOX, LAPTOP))
    assert decide(GROUP, person, PRODUCTION) == SendTo((PHONE, LAPTOP))


@pytest.mark.parametrize("devices", [(), (MAILBOX,)])
def test_in_production_there_is_no_device_out_of_nothing(devices: tuple[Device, ...]) -> None:
    assert decide(GROUP, Person("bob", Preferences(), devices), PRODUCTION) == Suppress(Reason.NO_DEVICE)


def test_the_users_own_wishes_are_named_before_a_missing_device() -> None:
    wishes = Preferences(muted_chats=(MutedChat(CHAT),))
    assert decide(GROUP, Person("bob", wishes, ()), PRODUCTION) == Suppress(Reason.MUTED)


def test_in_development_a_user_without_devices_has_the_log() -> None:
    assert decide(GROUP, Person("bob", Preferences(), ()), DEVELOPMENT) == SendTo(
        (implicit_log_device("bob"),)
    )


@pytest.mark.parametrize(
    ("last_active_ms", "active"),
    [(0, False), (NOON - 300_000, False), (NOON - 299_999, True), (NOON + 5, True)],
)
def test_who_did_something_lately_is_active(last_active_ms: int, active: bool) -> None:  # noqa: FBT001
    assert PRODUCTION.active(last_active_ms, NOON) is active


@pytest.mark.parametrize(
    ("at", "quiet"),
    [
        ("2026-01-15T21:59:59", False),
        ("2026-01-15T22:00:00", True),
        ("2026-01-16T06:59:59", True),
        ("2026-01-16T07:00:00", False),
        # The clock goes from 02:00 to 03:00, and back half a year later: it stands where it stands.
        ("2026-03-29T01:59:59", True),
        ("2026-03-29T03:00:00", True),
        ("2026-03-29T07:00:00", False),
        ("2026-10-25T02:30:00", True),
        ("2026-10-25T06:59:00", True),
        ("2026-10-25T07:00:00", False),
    ],
)
def test_quiet_hours_span_midnight_on_the_users_own_clock(at: str, quiet: bool) -> None:  # noqa: FBT001
    assert is_quiet(NIGHT, berlin(at)) is quiet


def test_quiet_hours_of_one_day_end_before_their_end() -> None:
    nap = QuietHours(13 * 60, 14 * 60, "Europe/Berlin")
    hours = ("12:59", "13:00", "13:59", "14:00")
    quiet = [is_quiet(nap, berlin(f"2026-07-01T{hour}:00")) for hour in hours]
    assert quiet == [False, True, True, False]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_an_unknown_time_zone_makes_no_hour_quiet(zone: str) -> None:
    assert not is_quiet(QuietHours(0, 1439, zone), NOON)


@pytest.mark.parametrize(
    ("wishes", "devices", "wants"),
    [
        (Preferences(), (MAILBOX,), True),
        (Preferences(), (PHONE,), False),
        (Preferences(email_digest=False), (MAILBOX,), False),
        (Preferences(enabled=False), (MAILBOX,), False),
    ],
)
def test_who_is_mailed(wishes: Preferences, devices: tuple[Device, ...], wants: bool) -> None:  # noqa: FBT001
    assert Person("bob", wishes, devices).wants_digests is wants


def test_whoever_is_busy_where_not_all_chats_come_is_told() -> None:
    assert PRODUCTION.active(NOON - 1, NOON)
    assert not PRODUCTION.active(NOON - 1, NOON, partial=True)
