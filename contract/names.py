"""The names of users and groups."""

from typing import Final

from contract.text import cut, has_controls, is_visible

MAX_NAME_LENGTH: Final = 100
"""Code points of a name."""


def display_name(claimed: str) -> str:
    """A user's name as an identity provider gives it, cut to `MAX_NAME_LENGTH`.

    Empty where it shows nothing or holds control characters; the id is shown then. A name is decoration, so
    one that cannot be shown does not lock its user out.
    """
    if has_controls(claimed) or not is_visible(claimed):
        return ""
    return cut(claimed, MAX_NAME_LENGTH, code_points=MAX_NAME_LENGTH)
