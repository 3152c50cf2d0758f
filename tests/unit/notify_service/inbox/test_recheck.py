"""What is left to tell when the delay is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from notify_service.domain.decision import Policy, Reason
from notify_service.domain.device import Device, DeviceKind
from notify_service.domain.notification import Message
from notify_service.domain.person import Person
from notify_service.domain.preferences import MutedChat, Preferences
from notify_service.domain.wording import preview
from notify_service.inbox.inbox import Batch, Inbox, InboxKey, WaitingMessage
from notify_service.inbox.recheck import Attention, Findings, ToNotify, Verdict, judge

CHAT = "c" * 24
PHONE = Device("d" * 24, "bob", DeviceKind.FCM, "token", "", 1, 2)
POLICY = Policy({DeviceKind.FCM}, implicit_log_device=False, idle_ms=300_000)
SENT, NOW = 10_000_000, 10_001_000


def waiting(seq: int, *, mentions: bool = False) -> WaitingMessage:
    return WaitingMessage(f"{seq:024x}", seq, mentions)


def batch(*messages: WaitingMessage, offline: bool = True) -> Batch:
    last = Message(messages[-1].id, CHAT, messages[-1].seq, "alice", "hello", SENT)
    return Batch("b" * 24, SENT, SENT, messages, preview(last), direct=True, offline=offline)


ONE, TWO, THREE = waiting(1), waiting(2), waiting(3)
INBOX = Inbox(InboxKey("bob", CHAT))
UNSEEN = Findings(Attention(member=True, unread=3), (), Person("bob", Preferences(), (PHONE,)), NOW)


def look(
    *messages: WaitingMessage, inbox: Inbox = INBOX, findings: Findings = UNSEEN, offline: bool = True
) -> Verdict:
    return judge(inbox, batch(*messages, offline=offline), findings, POLICY)


def knows(**attention: int | bool) -> Findings:
    known = {"member": True, "unread": 1, **attention}
    return replace(UNSEEN, attention=Attention(**known))  # type: ignore[arg-type]


def test_what_was_said_before_the_membership_ended_is_not_told_to_who_was_added_again() -> None:
    found = look(ONE, TWO, THREE, inbox=replace(INBOX, left_seq=2))
    assert found.suppressed == ((Reason.NOT_A_MEMBER, (ONE, TWO)),)
    assert found.to_notify
    assert found.to_notify.messages == (THREE,)


def test_what_nobody_has_seen_is_told_together() -> None:
    assert look(ONE, TWO, THREE) == Verdict((), ToNotify((ONE, TWO, THREE), (PHONE,), last_deleted=False))


@pytest.mark.parametrize(
    ("findings", "reason"),
    [
        (replace(UNSEEN, attention=Attention(member=False)), Reason.NOT_A_MEMBER),
        (replace(UNSEEN, deleted_ids={ONE.id, TWO.id}), Reason.DELETED),
        (knows(read_seq=2), Reason.READ),
        (knows(last_active_ms=NOW - 1), Reason.ACTIVE),
        (replace(UNSEEN, person=Person("bob", Preferences(enabled=False), (PHONE,))), Reason.DISABLED),
        (
            replace(UNSEEN, person=Person("bob", Preferences(muted_chats=(MutedChat(CHAT),)), (PHONE,))),
            Reason.MUTED,
        ),
        (replace(UNSEEN, person=Person("bob", Preferences(), ())), Reason.NO_DEVICE),
    ],
)
def test_what_changed_meanwhile_is_the_reason(findings: Findings, reason: Reason) -> None:
    assert look(ONE, TWO, findings=findings) == Verdict(((reason, (ONE, TWO)),), None)


def test_what_was_read_or_deleted_is_dropped_and_the_rest_is_told() -> None:
    findings = replace(knows(read_seq=1), deleted_ids={TWO.id})
    verdict = look(ONE, TWO, THREE, findings=findings)
    assert verdict.suppressed == ((Reason.READ, (ONE,)), (Reason.DELETED, (TWO,)))
    assert verdict.to_notify == ToNotify((THREE,), (PHONE,), last_deleted=False)


def test_a_preview_of_a_deleted_message_is_not_for_showing() -> None:
    verdict = look(ONE, TWO, findings=replace(UNSEEN, deleted_ids={TWO.id}))
    assert verdict.to_notify == ToNotify((ONE,), (PHONE,), last_deleted=True)


def test_a_read_pointer_that_only_the_inbox_knows_counts() -> None:
    assert look(ONE, inbox=replace(INBOX, read_seq=1)).suppressed == ((Reason.READ, (ONE,)),)


def test_a_message_that_came_late_was_told_with_a_later_one() -> None:
    assert look(ONE, inbox=replace(INBOX, notified_seq=2)) == Verdict(((Reason.COLLAPSED, (ONE,)),), None)


def test_a_mention_that_was_read_overrides_nothing_any_more() -> None:
    muted = Person("bob", Preferences(muted_chats=(MutedChat(CHAT),)), (PHONE,))
    mention = waiting(1, mentions=True)
    unread = replace(UNSEEN, person=muted)
    assert look(mention, TWO, findings=unread).to_notify is not None
    read = replace(knows(read_seq=1), person=muted)
    assert look(mention, TWO, findings=read).suppressed == ((Reason.READ, (mention,)), (Reason.MUTED, (TWO,)))


@pytest.mark.parametrize(
    ("last_active_ms", "offline", "seen"),
    [
        (SENT + 1, False, True),  # did something on the device that got it
        (SENT - 400_000, False, False),  # a device that lies idle got it
        (0, True, True),  # came, got it, and went
        (0, False, False),  # lay idle, got it, and was switched off
    ],
)
def test_what_a_device_got_is_seen_only_where_the_user_was(
    last_active_ms: int,
    offline: bool,  # noqa: FBT001
    seen: bool,  # noqa: FBT001
) -> None:
    findings = replace(knows(delivered_seq=1, last_active_ms=last_active_ms), at_ms=SENT + 400_000)
    expected = ((Reason.SEEN, (ONE,)),) if seen else ()
    assert look(ONE, findings=findings, offline=offline).suppressed == expected


def test_what_was_delivered_in_part_is_not_seen() -> None:
    findings = knows(delivered_seq=1)
    assert look(ONE, TWO, findings=findings).to_notify is not None


def test_an_entry_names_the_last_hundred_and_the_others_are_collapsed() -> None:
    messages = [waiting(seq) for seq in range(1, 131)]
    verdict = look(*messages)
    assert verdict.suppressed == ((Reason.COLLAPSED, tuple(messages[:30])),)
    assert verdict.to_notify
    assert verdict.to_notify.messages == tuple(messages[30:])
