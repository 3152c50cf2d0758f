"""What may name a user."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.text import is_visible
from contract.user_ids import is_user_id

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(
    st.text(
        alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters=BIDI),
        min_size=1,
        max_size=128,
    ).filter(is_visible)
)
def test_whatever_the_customer_uses(text: str) -> None:
    assert is_user_id(text)


@given(st.text(max_size=200))
def test_what_is_taken_is_safe(text: str) -> None:
    if is_user_id(text):
        assert 1 <= len(text) <= 128
        assert len(text.encode()) <= 512
        assert not any(unicodedata.category(character) == "Cc" for character in text)
        assert not set(BIDI) & set(text)


@pytest.mark.parametrize(
    "text",
    [
        "zoë\u00a0k",
        "ann\u3000lee",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👨‍👩‍👧‍👦",
        "so\u00adft",
        "\ue000",
        "\U0001fae9",  # newer than some Pythons
        "\U0001f8ff",  # not assigned
        " a ",
        "x" * 128,
        "🙂" * 128,
    ],
)
def test_what_pythons_disagree_about_is_taken(text: str) -> None:
    assert is_user_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 129,
        "\x7f",
        "a\x1fb",
        "a\nb",
        "a\u2028b",
        "a\u2029b",
        "a\ud800",
        *(f"a{control}b" for control in BIDI),
        " ",
        "\u00a0",
        "\u200b",
        "\u3164\u2800",
        "\u200d\u200c",
    ],
)
def test_what_is_refused(text: str) -> None:
    assert not is_user_id(text)
