"""What paths and query strings may say."""

from dataclasses import dataclass
from typing import Final

from edge.identity.user_id import is_user_id
from edge.rest.errors import invalid
from mesh.ids import is_object_id
from mesh.numbers import parse_number

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
MAX_PAGE: Final = 1000
MAX_SEQ: Final = 2**53 - 1  # what a JavaScript number holds exactly


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Which part of a history: below ``before_seq``, or the ``page``-th from the head; 0 when not asked."""

    limit: int
    before_seq: int
    page: int


def chat_id(text: str) -> str:
    """A chat's id from a path.

    Raises:
        InvalidArgument: not the form of an id.
    """
    return object_id("chatId", text)


def connection_id(text: str) -> str:
    """A connection's id from a path.

    Raises:
        InvalidArgument: not the form of an id.
    """
    return object_id("connectionId", text)


def object_id(name: str, text: str) -> str:
    """The id that a path has in the place of ``name``.

    Raises:
        InvalidArgument: not the form of an id.
    """
    if not is_object_id(text):
        raise invalid(f"{name} must be 24 lower-case hexadecimal digits")
    return text


def user_id(text: str) -> str:
    """A user's id from a path.

    Raises:
        InvalidArgument: not the form of an id.
    """
    if not is_user_id(text):
        raise invalid("userId must have 1 to 128 characters and no control characters")
    return text


def history_page(limit: str | None, before: str | None, page: str | None) -> HistoryPage:
    """The page that a query string asks for.

    Raises:
        InvalidArgument: out of range, no number, or both ``before`` and ``page``.
    """
    if before is not None and page is not None:
        raise invalid("give before or page, not both")
    return HistoryPage(
        limit=DEFAULT_LIMIT if limit is None else number("limit", limit, MAX_LIMIT),
        before_seq=0 if before is None else number("before", before, MAX_SEQ),
        page=0 if page is None else number("page", page, MAX_PAGE),
    )


def number(name: str, text: str, most: int) -> int:
    """The number from 1 to ``most`` that a query string has for ``name``.

    Raises:
        InvalidArgument: out of range, or no number.
    """
    found = parse_number(text)
    if found is not None and 1 <= found <= most:
        return found
    raise invalid(f"{name} must be a number from 1 to {most}")
