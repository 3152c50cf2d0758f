"""What one user has still to be notified of one chat."""

from __future__ import annotations

from dataclasses import replace

from notify_service.domain.decision import Reason
from notify_service.domain.notification import Message
from notify_service.domain.push import Push, PushKind
from notify_service.domain.wording import preview
from notify_service.inbox.inbox import (
    MAX_HANDLED,
    MAX_WAITING,
    Arrival,
    Batch,
    Inbox,
    InboxKey,
    Rhythm,
    Shown,
    WaitingMessage,
)

CHAT, START = "c" * 24, 1_000_000_000
RHYTHM = Rhythm(delay_ms=1_000, delay_max_ms=5_000, repeat_ms=10_000)
CLAIM = "e" * 24
EMPTY = Inbox(InboxKey("bob", CHAT))


def arrival(seq: int, at_ms: int = START, *, offline: bool = True) -> Arrival:
    message = Message(f"{seq:024x}", CHAT, seq, "alice", f"text {seq}", 500_000 + seq)
    return Arrival(WaitingMessage(message.id, seq), preview(message), True, offline, at_ms)


def taken(*arrivals: Arrival, inbox: Inbox = EMPTY) -> Inbox:
    for each in arrivals:
        inbox = inbox.take(each)
    return inbox


def waiting(inbox: Inbox) -> Batch:
    assert inbox.waiting
    return inbox.waiting


def notified(inbox: Inbox, at_ms: int) -> Inbox:
    claimed = inbox.claim(CLAIM, at_ms + 1)
    assert claimed.firing
    shown = Shown(claimed.firing.id, claimed.firing.last.seq, claimed.firing.last.id, ("d" * 24,))
    return claimed.settle(CLAIM, claimed.firing.id, shown=shown, cleared_id="", at_ms=at_ms)


def cleared_by(inbox: Inbox, shown: Shown) -> Inbox:
    return inbox.settle(CLAIM, "", shown=None, cleared_id=shown.batch_id, at_ms=START)


def test_a_message_of_a_quiet_chat_is_due_after_the_delay() -> None:
    assert taken(arrival(1)).due_ms(RHYTHM) == START + 1_000


def test_a_burst_is_due_when_it_is_over_or_has_lasted_too_long() -> None:
    burst = [arrival(seq, START + 600 * seq) for seq in range(1, 11)]
    assert taken(*burst[:3]).due_ms(RHYTHM) == START + 1_800 + 1_000
    assert taken(*burst).due_ms(RHYTHM) == START + 600 + 5_000


def test_the_next_time_comes_after_a_while() -> None:
    after = notified(taken(arrival(1)), START + 1_000)
    assert after.due_ms(RHYTHM) is None
    assert taken(arrival(2, START + 2_000), inbox=after).due_ms(RHYTHM) == START + 11_000
    assert taken(arrival(2, START + 60_000), inbox=after).due_ms(RHYTHM) == START + 61_000


def test_a_batch_is_of_its_last_message_in_whatever_order_they_come() -> None:
    batch = waiting(taken(arrival(2), arrival(3), arrival(1)))
    assert [message.seq for message in batch.messages] == [1, 2, 3]
    assert batch.preview.body == "text 3"


def test_a_message_opens_the_same_batch_whenever_it_does() -> None:
    assert waiting(taken(arrival(1))).id == waiting(taken(arrival(1, START + 9_999))).id


def test_who_was_there_once_was_not_offline() -> None:
    assert waiting(taken(arrival(1), arrival(2))).offline
    assert not waiting(taken(arrival(1), arrival(2, offline=False))).offline


def test_what_comes_while_a_batch_is_decided_waits_behind_it() -> None:
    claimed = taken(arrival(1)).claim(CLAIM, START + 30_000)
    more = taken(arrival(2), inbox=claimed)
    assert more.firing == claimed.firing
    assert more.due_ms(RHYTHM) == START + 30_000
    assert claimed.firing
    settled = more.settle(CLAIM, claimed.firing.id, shown=None, cleared_id="", at_ms=START + 1_000)
    assert settled.due_ms(RHYTHM) == START + 1_000
    assert [message.seq for message in waiting(settled).messages] == [2]


def test_a_claim_that_ran_out_decides_the_same_batch_again() -> None:
    first = taken(arrival(1)).claim(CLAIM, START + 30_000)
    second = taken(arrival(2), inbox=first).claim(CLAIM, START + 60_000)
    assert second.firing == first.firing
    assert second.due_ms(RHYTHM) == START + 60_000


def test_what_was_read_is_cleared_at_once_and_only_when_all_of_it_was() -> None:
    shown = notified(taken(arrival(4), arrival(5)), START)
    assert shown.read(4).to_clear is None
    read = shown.read(5)
    assert read.to_clear == shown.shown
    assert read.due_ms(RHYTHM) == 0
    assert read.shown
    cleared = cleared_by(read.claim(CLAIM, START + 1), read.shown)
    assert cleared.due_ms(RHYTHM) is None


def test_what_was_read_while_it_was_told_is_cleared_too() -> None:
    claimed = taken(arrival(1)).claim(CLAIM, START + 30_000).read(1)
    assert claimed.firing
    shown = Shown(claimed.firing.id, 1, "a" * 24, ("d" * 24,))
    settled = claimed.settle(CLAIM, claimed.firing.id, shown=shown, cleared_id="", at_ms=START)
    assert settled.to_clear == shown


def test_a_newer_notification_outlives_the_clearing_of_an_older_one() -> None:
    first = notified(taken(arrival(1)), START).read(1)
    assert first.shown
    second = notified(taken(arrival(2), inbox=first), START + 11_000)
    assert cleared_by(second, first.shown).shown == second.shown


def test_a_claim_that_ran_out_ends_no_other() -> None:
    first = taken(arrival(1)).claim(CLAIM, START + 30_000)
    assert first.firing
    second = first.claim("f" * 24, START + 60_000)
    settled = second.settle(CLAIM, first.firing.id, shown=None, cleared_id="", at_ms=START)
    assert settled.firing is None
    assert settled.claimed_until_ms == START + 60_000


def test_reading_touches_no_inbox_that_is_at_rest() -> None:
    assert EMPTY.read(5) is EMPTY


def test_a_batch_keeps_its_last_messages() -> None:
    crowd = taken(*(arrival(seq) for seq in range(1, MAX_WAITING + 11)))
    assert [message.seq for message in waiting(crowd).messages][:1] == [11]
    assert crowd.take(arrival(3)) is crowd, "it had its turn"


def test_what_was_decided_long_ago_stays_decided() -> None:
    inbox = EMPTY
    for seq in range(1, MAX_HANDLED + 20):
        inbox = notified(taken(arrival(seq), inbox=inbox), START)
    assert len(inbox.handled) == MAX_HANDLED
    assert all(inbox.take(arrival(seq)) is inbox for seq in range(1, MAX_HANDLED + 20))


def stored(inbox: Inbox) -> Inbox:
    return replace(inbox, version="a" * 24)


def decided(inbox: Inbox) -> Inbox:
    """Decided not to be notified."""
    firing = waiting(inbox)
    return inbox.claim(CLAIM, START).settle(CLAIM, firing.id, shown=None, cleared_id="", at_ms=START)


def test_what_was_decided_and_not_told_can_wait_again_in_the_batch_it_would_have_had() -> None:
    inbox = decided(taken(arrival(1), arrival(2)))
    assert inbox.take(arrival(2)) is inbox
    again = inbox.reconsider(arrival(1)).reconsider(arrival(2))
    assert waiting(again).id == waiting(taken(arrival(1))).id
    assert [message.seq for message in waiting(again).messages] == [1, 2]
    assert again.reconsider(arrival(2)) is again
    assert notified(again, START).reconsider(arrival(2)).waiting is None


def test_what_was_told_read_or_is_being_decided_does_not_wait_again() -> None:
    inbox = notified(taken(arrival(2)), START)
    assert inbox.reconsider(arrival(1)) is inbox, "it was in the count"
    assert inbox.read(3).reconsider(arrival(3)).waiting is None
    assert inbox.left(3).reconsider(arrival(3)).waiting is None
    claimed = taken(arrival(3), inbox=inbox).claim(CLAIM, START)
    assert claimed.reconsider(arrival(3)) is claimed


def test_what_is_shown_goes_when_the_membership_is_over() -> None:
    shows = stored(notified(taken(arrival(1), arrival(2)), START))
    assert shows.left(1).to_clear is None, "what came after it is another membership's"
    left = shows.left(3)
    assert left.left(3) is left
    assert (left.to_clear, left.why_cleared, left.due_ms(RHYTHM)) == (shows.shown, Reason.NOT_A_MEMBER, 0)
    assert shows.shown
    assert cleared_by(left, shows.shown).due_ms(RHYTHM) is None
    assert shows.read(2).why_cleared is Reason.READ
    assert EMPTY.left(3) is EMPTY, "nothing waits and nothing is shown"


def test_a_removal_in_the_middle_of_telling_takes_it_away_afterwards() -> None:
    claimed = taken(arrival(1)).claim(CLAIM, START + 1)
    assert claimed.firing
    shown = Shown(claimed.firing.id, 1, "a" * 24, ("d" * 24,))
    after = claimed.left(2).settle(CLAIM, claimed.firing.id, shown=shown, cleared_id="", at_ms=START)
    assert after.to_clear == shown


def test_who_is_added_again_is_not_told_of_before() -> None:
    shows = stored(notified(taken(arrival(1)), START))
    again = notified(taken(arrival(3), inbox=shows.left(2)), START)
    assert again.to_clear is None
    late = Push(PushKind.SHOW, CHAT, 1, batch_id="b" * 24, seq=1)
    assert again.why_outdated(late) is Reason.NOT_A_MEMBER


def show(inbox: Inbox) -> Push:
    assert inbox.shown
    return Push(PushKind.SHOW, CHAT, 1, batch_id=inbox.shown.batch_id)


def test_a_push_that_waited_goes_out_only_where_it_is_still_to_be_shown() -> None:
    first = stored(notified(taken(arrival(1)), START))
    second = notified(taken(arrival(2), inbox=first), START)
    read = second.read(2)
    assert second.shown
    cleared = cleared_by(read, second.shown)

    assert first.why_outdated(show(first)) is None
    assert second.why_outdated(show(first)) is Reason.COLLAPSED
    assert second.why_outdated(show(second)) is None
    assert read.why_outdated(show(second)) is Reason.READ
    assert cleared.why_outdated(show(second)) is Reason.READ


def test_a_clear_that_waited_takes_nothing_away_that_is_newer() -> None:
    first = stored(notified(taken(arrival(1)), START)).read(1)
    assert first.shown
    clear = replace(show(first), kind=PushKind.CLEAR)
    cleared = cleared_by(first, first.shown)
    assert first.why_outdated(clear) is None
    assert cleared.why_outdated(clear) is None
    newer = notified(taken(arrival(2), inbox=cleared), START)
    assert newer.why_outdated(clear) is Reason.COLLAPSED


def test_a_push_whose_round_is_not_settled_is_wanted() -> None:
    claimed = stored(taken(arrival(1))).claim(CLAIM, START + 30_000)
    assert claimed.firing
    assert claimed.why_outdated(Push(PushKind.SHOW, CHAT, 1, batch_id=claimed.firing.id)) is None


def test_where_nothing_is_known_a_push_is_wanted() -> None:
    assert EMPTY.why_outdated(Push(PushKind.SHOW, CHAT, 1, batch_id="b" * 24)) is None
    assert stored(EMPTY).why_outdated(Push(PushKind.SHOW, CHAT, 1)) is None
