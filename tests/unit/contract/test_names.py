"""Names of users."""

import pytest

from contract.names import display_name


@pytest.mark.parametrize("claimed", ["", " ", "\u200b", "\u202e", "\u3164\u2800", "a\nb", "a\x00", "\ud800a"])
def test_a_name_that_cannot_be_shown_is_none(claimed: str) -> None:
    assert display_name(claimed) == ""


def test_a_name_is_cut_between_characters() -> None:
    assert display_name("Ada") == "Ada"
    assert display_name("x" * 98 + "👨‍👩‍👧‍👦") == "x" * 98
    assert display_name("e" + "\u0301" * 200) == "e" + "\u0301" * 99
