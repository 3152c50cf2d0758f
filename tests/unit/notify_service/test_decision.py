"""Whether a user is told, and through which devices."""

from __future__ import annotations

from notify_service.domain.decision import Policy, Reason, SendTo, Suppress, decide
from notify_service.domain.device import Device, DeviceKind, implicit_log_device
from notify_service.domain.notification import Notification
from notify_service.domain.preferences import Preferences

CHAT = "c" * 24
NOTIFICATION = Notification("bob", CHAT, "a" * 24, "alice", "hello")
DEVICE = Device("d" * 24, "bob", DeviceKind.LOG, "log", "", 1, 2)
DEVELOPMENT = Policy({DeviceKind.LOG}, implicit_log_device=True)
PRODUCTION = Policy(set(), implicit_log_device=False)


def test_goes_to_every_device_in_their_order() -> None:
    other = Device("e" * 24, "bob", DeviceKind.LOG, "other", "", 1, 1)
    assert decide(NOTIFICATION, Preferences(), (DEVICE, other), DEVELOPMENT) == SendTo((DEVICE, other))


def test_the_users_own_wishes_come_before_everything_else() -> None:
    disabled = Preferences(enabled=False, muted_chat_ids=frozenset({CHAT}))
    assert decide(NOTIFICATION, disabled, (DEVICE,), DEVELOPMENT) == Suppress(Reason.DISABLED)
    assert decide(NOTIFICATION, disabled, (), PRODUCTION) == Suppress(Reason.DISABLED)


def test_a_muted_chat_is_quiet_and_another_is_not() -> None:
    muted = Preferences(muted_chat_ids=frozenset({CHAT}))
    elsewhere = Preferences(muted_chat_ids=frozenset({"f" * 24}))
    assert decide(NOTIFICATION, muted, (DEVICE,), DEVELOPMENT) == Suppress(Reason.MUTED)
    assert decide(NOTIFICATION, elsewhere, (DEVICE,), DEVELOPMENT) == SendTo((DEVICE,))


def test_in_development_a_user_without_devices_has_the_log() -> None:
    assert decide(NOTIFICATION, Preferences(), (), DEVELOPMENT) == SendTo((implicit_log_device("bob"),))


def test_in_production_there_is_no_device_out_of_nothing() -> None:
    assert decide(NOTIFICATION, Preferences(), (), PRODUCTION) == Suppress(Reason.NO_DEVICE)


def test_a_device_that_nothing_here_can_reach_is_none() -> None:
    assert decide(NOTIFICATION, Preferences(), (DEVICE,), PRODUCTION) == Suppress(Reason.NO_DEVICE)
