"""The rules that need no server."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from parley.common.v1.message_pb2 import Message
from parley.events.v1.chat_event_pb2 import ChatEvent
from persist_service.domain.chats import pair_key
from persist_service.domain.log import advances
from persist_service.domain.pointers import Pointer, merge
from persist_service.domain.statistics import BLOCK, Fact, blocks
from persist_service.domain.terms import TERM_LENGTH_LIMIT, TERMS_LIMIT, terms_of

CHAT, OTHER = "a" * 24, "b" * 24
pointers = st.builds(
    Pointer,
    st.sampled_from([CHAT, OTHER]),
    st.sampled_from(["alice", "bob"]),
    read_seq=st.integers(0, 50),
    read_number=st.integers(0, 50),
    delivered_seq=st.integers(0, 50),
    at_ms=st.integers(0, 50),
)


def entry(seq: int, *, number: int, chat_id: str = CHAT, epoch: int = 1, message: bool = True) -> ChatEvent:
    event = ChatEvent(chat_id=chat_id, epoch=epoch, seq=seq, number=number, occurred_at_ms=seq * 10)
    if message:
        event.message.CopyFrom(Message(chat_id=chat_id, sender_id="alice", content=f"text {seq}"))
    return event


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_pair_keys_are_equal_exactly_for_equal_pairs(a: str, b: str, c: str, d: str) -> None:
    assert pair_key(a, b) == pair_key(b, a)
    assert (pair_key(a, b) == pair_key(c, d)) == (sorted((a, b)) == sorted((c, d)))


@given(st.lists(pointers))
def test_merged_pointers_move_as_far_as_all_in_any_order(moves: list[Pointer]) -> None:
    merged = merge(moves)
    keys = [(pointer.chat_id, pointer.user_id) for pointer in merged]
    assert sorted(keys) == sorted({(move.chat_id, move.user_id) for move in moves})
    for pointer in merged:
        own = [m for m in moves if (m.chat_id, m.user_id) == (pointer.chat_id, pointer.user_id)]
        assert pointer.read_seq == max(m.read_seq for m in own)
        assert pointer.read_number == max(m.read_number for m in own)
        assert pointer.delivered_seq == max(m.delivered_seq for m in own)
        assert pointer.at_ms in {m.at_ms for m in own if m.read_seq == pointer.read_seq}


def test_a_batch_advances_each_chat_to_its_highest_position() -> None:
    entries = [entry(n, number=n) for n in range(1, 9)]
    entries += [entry(9, number=8, message=False), entry(3, number=1, chat_id=OTHER, message=False, epoch=2)]
    random.Random(5).shuffle(entries)
    found = {advance.head.chat_id: advance for advance in advances(entries)}
    head = found[CHAT].head
    assert (head.epoch, head.seq, head.number, found[CHAT].updated_at_ms) == (1, 9, 8, 90)
    latest = found[CHAT].latest
    assert latest is not None
    assert (latest.seq, latest.text) == (8, "text 8")
    assert (found[OTHER].head.epoch, found[OTHER].latest) == (2, None)


def test_terms_are_folded_words_without_repeats() -> None:
    assert terms_of("STRASSE, Straße & strasse") == ("strasse",)
    assert terms_of("ﬁne e\u0301tude Étude") == ("fine", "étude")
    assert terms_of("…!? \n") == ()


@given(st.text(max_size=2_000))
def test_terms_are_bounded_and_stable(text: str) -> None:
    terms = terms_of(text)
    assert len(terms) <= TERMS_LIMIT
    assert len(set(terms)) == len(terms)
    assert all(1 <= len(term) <= TERM_LENGTH_LIMIT for term in terms)


@given(st.lists(st.tuples(st.sampled_from([CHAT, OTHER]), st.integers(1, 5_000), st.integers(0, 10**12))))
def test_each_fact_falls_into_one_block_of_its_utc_day(told: list[tuple[str, int, int]]) -> None:
    found = blocks(Fact(*fact) for fact in told)
    placed = {(block.chat_id, block.day_ms, seq) for block, seqs in found.items() for seq in seqs}
    assert placed == {(chat_id, at_ms - at_ms % 86_400_000, seq) for chat_id, seq, at_ms in told}
    assert all(seq // BLOCK == block.number for block, seqs in found.items() for seq in seqs)
