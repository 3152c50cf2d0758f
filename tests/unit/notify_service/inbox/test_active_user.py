"""What becomes of users who were taken for active."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_service.domain.decision import Policy
from notify_service.domain.ledger import LedgerEntry, Outcome
from notify_service.inbox.active_user import ActiveUser, Finding, NotedUsers, consider, taken_for_active

NOW = 1_790_000_000_000
IDLE = 300_000
POLICY = Policy((), implicit_log_device=True, idle_ms=IDLE)
CHATS = ("a" * 24, "b" * 24)


@pytest.mark.parametrize(
    ("last_active_ms", "finding"),
    [
        (0, Finding.OVER),
        (NOW - IDLE, Finding.OVER),
        (NOW - IDLE + 1, Finding.ACTIVE),
        (NOW - 5_000, Finding.ACTIVE),
        (NOW - 4_999, Finding.SEEN),
        (NOW, Finding.SEEN),
    ],
)
def test_activity_goes_on_or_is_over(last_active_ms: int, finding: Finding) -> None:
    user = ActiveUser("bob", NOW - 65_000, NOW - 5_000, NOW - 5_000, "claim")
    assert consider(user, last_active_ms, NOW, POLICY) is finding


def entry(chat_id: str, detail: str, *message_ids: str) -> LedgerEntry:
    outcome = Outcome.SENT if detail == "" else Outcome.SUPPRESSED
    return LedgerEntry("e" * 24, ("bob",), message_ids, chat_id, outcome, detail, NOW)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(CHATS),
            st.sampled_from(["active", "read", ""]),
            st.lists(st.sampled_from(["1", "2", "3"]), unique=True),
        )
    )
)
def test_the_last_word_of_the_ledger_counts(words: list[tuple[str, str, list[str]]]) -> None:
    last: dict[tuple[str, str], str] = {}
    entries = []
    for chat_id, detail, places in words:
        message_ids = [chat_id[:1] + place for place in places]
        entries.append(entry(chat_id, detail, *message_ids))
        last.update(((chat_id, message_id), detail) for message_id in message_ids)
    missed = {
        (chat_id, message_id)
        for chat_id, message_ids in taken_for_active(reversed(entries)).items()
        for message_id in message_ids
    }
    assert missed == {key for key, detail in last.items() if detail == "active"}


def test_who_is_noted_is_not_unknown_until_that_is_over() -> None:
    noted = NotedUsers(limit=2)
    assert noted.unknown({"ada", "bob"}, NOW) == {"ada", "bob"}
    noted.remember(["ada", "bob"], NOW + 10)
    assert noted.unknown({"ada", "bob", "carol"}, NOW + 9) == {"carol"}
    assert noted.unknown({"ada", "bob"}, NOW + 10) == {"ada", "bob"}


def test_it_remembers_no_more_than_its_limit_and_forgets_the_earliest() -> None:
    noted = NotedUsers(limit=2)
    for user_id in ("ada", "bob", "ada", "carol"):
        noted.remember([user_id], NOW + 10)
    assert noted.unknown({"ada", "bob", "carol"}, NOW) == {"bob"}
