"""Ids and numbers in paths and query strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.user_ids import is_user_id
from edge.rest.parameters import HistoryPage, chat_id, history_page, user_id
from mesh.errors import InvalidArgument

_HEX = st.text("0123456789abcdef", min_size=24, max_size=24)
_ANY = st.one_of(_HEX, st.text(), st.from_regex(r"\s*[0-9a-fA-F]{24}\s*", fullmatch=True))


@given(_HEX)
def test_every_object_id_is_taken(text: str) -> None:
    assert chat_id(text) == text


@given(_ANY)
def test_a_chat_id_is_an_object_id_or_refused(text: str) -> None:
    if len(text) == 24 and set(text) <= set("0123456789abcdef"):
        assert chat_id(text) == text
    else:
        with pytest.raises(InvalidArgument, match="chatId"):
            chat_id(text)


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_user_id_is_kept_as_it_is_or_refused(text: str) -> None:
    if is_user_id(text):
        assert user_id(text) == text
    else:
        with pytest.raises(InvalidArgument, match="userId"):
            user_id(text)


@given(limit=st.integers(1, 100), before=st.integers(1, 2**53 - 1))
def test_numbers_in_range(limit: int, before: int) -> None:
    assert history_page(str(limit), str(before), None) == HistoryPage(limit, before, 0)


@given(st.none() | st.text(max_size=20), st.none() | st.text(max_size=20), st.none() | st.text(max_size=20))
def test_any_text_is_a_page_in_range_or_refused(
    limit: str | None, before: str | None, page: str | None
) -> None:
    try:
        asked = history_page(limit, before, page)
    except InvalidArgument:
        return
    assert 1 <= asked.limit <= 100
    assert 0 <= asked.before_seq < 2**53
    assert 0 <= asked.page <= 1000
    assert not (asked.before_seq and asked.page)


def test_defaults() -> None:
    assert history_page(None, None, None) == HistoryPage(50, 0, 0)


@pytest.mark.parametrize("limit", ["", "0", "101", "+1", " 1", "1 ", "1e1", "0x1", "٣", "²", "1" * 5000])
def test_what_only_looks_like_a_number(limit: str) -> None:
    with pytest.raises(InvalidArgument, match="limit"):
        history_page(limit, None, None)
