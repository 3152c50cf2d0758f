"""One sentence for every way that a message can go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from notify_service.domain.decision import Reason
from notify_service.domain.device import DeviceKind
from notify_service.domain.ledger import LedgerEntry, Outcome, entry_id
from notify_service.domain.preferences import Preferences
from notify_service.ledger.explanation import _REASONS, Explanation, Trace, Waiting, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

AT = 1_800_000_000_000
TIME = "2027-01-15T08:00:0{}.000Z"


def decided(reason: str, seconds: int = 0) -> LedgerEntry:
    at_ms = AT + seconds * 1000
    return LedgerEntry(entry_id(at_ms, reason), ("bob",), ("m",), "c", Outcome.SUPPRESSED, reason, at_ms)


def tried(
    outcome: Outcome, detail: str = "", *, device: str = "d1", attempt: int = 1, seconds: int = 0
) -> LedgerEntry:
    at_ms = AT + seconds * 1000
    made_of = entry_id(at_ms, device, str(attempt), outcome.value)
    return LedgerEntry(
        made_of, ("bob",), ("m",), "c", outcome, detail, at_ms, device, DeviceKind.FCM, attempt
    )


def mailed(outcome: Outcome, detail: str = "", *, seconds: int = 0, attempt: int = 1) -> LedgerEntry:
    """About a digest, which is about no one message and chat."""
    at_ms = AT + seconds * 1000
    made_of = entry_id(at_ms, "digest", str(attempt), outcome.value)
    return LedgerEntry(
        made_of, ("bob",), (), "", outcome, detail, at_ms, "mailbox", DeviceKind.EMAIL, attempt
    )


def answer(
    *entries: LedgerEntry, waiting: Waiting = Waiting.NOTHING, digest: Sequence[LedgerEntry] = ()
) -> Explanation:
    return explain(Trace(waiting, entries, digest), (), Preferences())


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    found = answer(decided(reason.value))
    assert found.outcome is Outcome.SUPPRESSED
    assert found.summary == f"The user was not notified: {_REASONS[reason]}."


def test_an_unknown_reason_is_given_as_it_is() -> None:
    assert answer(decided("some words")).summary == "The user was not notified: some words."


def test_told_is_told_whatever_else_happened() -> None:
    found = answer(
        tried(Outcome.FAILED, "400", device="d2", seconds=5),
        tried(Outcome.SENT, seconds=3),
        tried(Outcome.DELAYED, "503", seconds=1),
        waiting=Waiting.DELIVERY,
    )
    assert found.outcome is Outcome.SENT
    assert found.summary == (
        f"The user was notified through one device (fcm), first at {TIME.format(3)}; another was not reached:"
        f" fcm said “400” at {TIME.format(5)}, attempt 1."
    )
    assert [entry.at_ms - AT for entry in found.entries] == [1000, 3000, 5000]


@pytest.mark.parametrize(
    ("reason", "why"),
    [("read", "the user had read it"), ("not-a-member", "the user was no member of the chat any more")],
)
def test_what_was_shown_may_be_taken_away_again(reason: str, why: str) -> None:
    cleared = replace(decided(reason, 4), outcome=Outcome.CLEARED)
    found = answer(tried(Outcome.SENT), cleared)
    assert found.outcome is Outcome.SENT
    assert found.summary.endswith(f". It was taken away again at {TIME.format(4)}: {why}.")
    missed = answer(decided("read", 3), cleared)
    assert missed.summary == "The user was not notified: the user had read it already."


def test_two_devices() -> None:
    found = answer(tried(Outcome.SENT), tried(Outcome.SENT, device="d2", seconds=1))
    assert found.summary == f"The user was notified through 2 devices (fcm), first at {TIME.format(0)}."


def test_what_waits_is_pending_until_something_was_tried() -> None:
    assert answer(waiting=Waiting.DECISION).outcome is Outcome.PENDING
    assert answer(waiting=Waiting.DELIVERY).outcome is Outcome.PENDING
    found = answer(tried(Outcome.DELAYED, "503", attempt=2), waiting=Waiting.DELIVERY)
    assert found.outcome is Outcome.DELAYED
    assert found.summary == (
        f"It is on its way and will be tried again: fcm said “503” at {TIME.format(0)}, attempt 2."
    )


def test_one_device_failed_and_another_was_not_tried_yet() -> None:
    found = answer(tried(Outcome.FAILED, "400"), waiting=Waiting.DELIVERY)
    assert found.outcome is Outcome.PENDING


def test_the_last_word_counts_when_nothing_may_come() -> None:
    found = answer(
        tried(Outcome.DELAYED, "503"), tried(Outcome.FAILED, "given up after 1 attempt: 503", seconds=1)
    )
    assert found.outcome is Outcome.FAILED
    assert "given up after 1 attempt: 503" in found.summary
    pruned = answer(tried(Outcome.PRUNED, "410 Gone"))
    assert pruned.outcome is Outcome.PRUNED
    assert "was forgotten: fcm said “410 Gone”" in pruned.summary


def test_without_a_trace() -> None:
    found = answer()
    assert found.outcome is None
    assert found.summary.startswith("There is no trace")


@pytest.mark.parametrize(
    ("digest", "sentence", "shown"),
    [
        (
            [mailed(Outcome.SENT, seconds=5), mailed(Outcome.SENT, seconds=9)],
            f"The next mail about what was unread went out at {TIME.format(5)}.",
            1,
        ),
        (
            [mailed(Outcome.DELAYED, "450 later"), mailed(Outcome.SENT, seconds=5, attempt=2)],
            f"The next mail about what was unread went out at {TIME.format(5)}.",
            2,
        ),
        (
            [mailed(Outcome.DELAYED, "450 later", seconds=5)],
            f"The next mail about what was unread: email said “450 later” at {TIME.format(5)}, attempt 1.",
            1,
        ),
        (
            [mailed(Outcome.SUPPRESSED, "read", seconds=5)],
            f"No mail followed at {TIME.format(5)}: nothing was unread any more.",
            1,
        ),
    ],
)
def test_the_next_digest_is_part_of_the_answer(
    digest: Sequence[LedgerEntry], sentence: str, shown: int
) -> None:
    found = answer(decided("quiet-hours"), digest=digest)
    assert found.outcome is Outcome.SUPPRESSED
    assert found.summary == f"The user was not notified: {_REASONS[Reason.QUIET_HOURS]}. {sentence}"
    assert list(found.entries[1:]) == digest[:shown]


@pytest.mark.parametrize("entries", [(), (decided("muted"),), (decided("deleted"),)])
def test_a_digest_that_cannot_be_about_the_message_is_left_out(entries: tuple[LedgerEntry, ...]) -> None:
    assert answer(*entries, digest=[mailed(Outcome.SENT)]) == answer(*entries)
