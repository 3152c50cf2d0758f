"""Ids, numbers and names in paths and query strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.user_ids import is_user_id
from edge.rest.operation import Parameter
from edge.rest.parameters import CHAT, CURSOR, LIMIT, USER_ID, number, one_of
from mesh.errors import InvalidArgument

_HEX = st.text("0123456789abcdef", min_size=24, max_size=24)
_ANY = st.one_of(_HEX, st.text(), st.from_regex(r"\s*[0-9a-fA-F]{24}\s*", fullmatch=True))
USER = Parameter("userId", "Who.", USER_ID)
BEFORE = Parameter("before", "Where.", number(2**53 - 1), default=0)
COLOUR = Parameter("colour", "Which.", one_of({"red": 1, "green": 2}))


@given(_HEX)
def test_every_object_id_is_taken(text: str) -> None:
    assert CHAT.value(text) == text


@given(_ANY)
def test_a_chat_id_is_an_object_id_or_refused(text: str) -> None:
    if len(text) == 24 and set(text) <= set("0123456789abcdef"):
        assert CHAT.value(text) == text
    else:
        with pytest.raises(InvalidArgument, match="chatId"):
            CHAT.value(text)


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_user_id_is_kept_as_it_is_or_refused(text: str) -> None:
    if is_user_id(text):
        assert USER.value(text) == text
    else:
        with pytest.raises(InvalidArgument, match="userId"):
            USER.value(text)


@given(limit=st.integers(1, 100), before=st.integers(1, 2**53 - 1))
def test_numbers_in_range(limit: int, before: int) -> None:
    assert (LIMIT.value(str(limit)), BEFORE.value(str(before))) == (limit, before)


@given(st.none() | st.text(max_size=20))
def test_any_text_is_a_number_in_range_or_refused(text: str | None) -> None:
    for parameter, least, most in ((LIMIT, 1, 100), (BEFORE, 0, 2**53 - 1)):
        try:
            assert least <= parameter.value(text) <= most
        except InvalidArgument:
            assert text is not None


def test_what_is_left_out_has_its_default_or_is_asked_for() -> None:
    assert (LIMIT.value(None), BEFORE.value(None), CURSOR.value(None)) == (50, 0, "")
    with pytest.raises(InvalidArgument, match="userId is missing"):
        USER.value(None)


def test_a_name_stands_for_its_value() -> None:
    assert COLOUR.value("green") == 2
    for text in ("", "Green", "blue"):
        with pytest.raises(InvalidArgument, match="colour must be one of red, green"):
            COLOUR.value(text)


@pytest.mark.parametrize("limit", ["", "0", "101", "+1", " 1", "1 ", "1e1", "0x1", "٣", "²", "1" * 5000])
def test_what_only_looks_like_a_number(limit: str) -> None:
    with pytest.raises(InvalidArgument, match="limit"):
        LIMIT.value(limit)
