"""What a returning client is told, by the values alone."""

from hypothesis import given
from hypothesis import strategies as st

from chat_service.domain import resume
from chat_service.domain.model import Head
from chat_service.domain.resume import GIVE_UP_MS, Cursor, Entry, Window
from chat_service.domain.revocation import Revocation

CHAT = "c" * 24
POSITIONS = st.integers(0, 50)


def entries(*seqs: int, at_ms: int = 0) -> list[Entry]:
    return [Entry(seq, at_ms, b"%d" % seq) for seq in seqs]


@given(epoch=st.integers(0, 5), seq=POSITIONS, base=POSITIONS, length=POSITIONS, life=st.integers(1, 4))
def test_reading_begins_where_the_client_is_or_the_client_begins_anew(
    epoch: int, seq: int, base: int, length: int, life: int
) -> None:
    head = Head(life, base + length, length, 2, base=base)
    after, reset = resume.begin(Cursor(CHAT, epoch, seq), head)
    assert base <= after <= head.seq
    if not reset:
        assert after == seq
        assert epoch in {0, life}


@given(after=POSITIONS, size=POSITIONS, first=st.sets(POSITIONS), second=st.sets(POSITIONS))
def test_a_run_is_dense_within_its_window_and_as_long_as_can_be(
    after: int, size: int, first: set[int], second: set[int]
) -> None:
    run = resume.dense(Window(CHAT, after, after + size), entries(*first), entries(*second))
    assert [entry.seq for entry in run] == list(range(after + 1, after + 1 + len(run)))
    assert len(run) <= size
    assert len(run) == size or after + 1 + len(run) not in first | second


def test_a_hole_is_for_good_when_what_stands_beyond_it_is_old() -> None:
    now = 10 * GIVE_UP_MS
    assert not resume.is_lost(5, [], now)
    assert not resume.is_lost(5, entries(7, at_ms=now - GIVE_UP_MS), now)
    assert resume.is_lost(5, entries(7, at_ms=now - GIVE_UP_MS - 1), now)
    assert not resume.is_lost(5, entries(5, at_ms=0), now)


def test_a_revocation_hits_older_tokens_tokens_without_a_time_and_named_connections() -> None:
    assert not Revocation(None).hits(0)
    assert not Revocation(0).hits(0)
    assert Revocation(0, ended=True).hits(10**15)
    assert [Revocation(1_000).hits(at) for at in (0, 999, 1_000)] == [True, True, False]
