"""What may name a user."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from edge.identity.user_id import is_user_id


@given(
    st.text(
        alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=128
    )
)
def test_whatever_the_customer_uses(text: str) -> None:
    assert is_user_id(text)


@given(st.text(max_size=200))
def test_what_is_taken_is_safe(text: str) -> None:
    if is_user_id(text):
        assert 1 <= len(text) <= 128
        assert text.encode()
        assert not any(unicodedata.category(character) == "Cc" for character in text)


def test_the_borders() -> None:
    assert is_user_id("x" * 128)
    assert not is_user_id("x" * 129)
    assert not is_user_id("")
    assert not is_user_id("\x7f")
    assert not is_user_id("\ud800")
