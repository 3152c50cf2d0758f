"""What paths and query strings may say."""

from dataclasses import dataclass
from typing import Final

from contract.user_ids import USER_ID_RULE, is_user_id
from edge.rest.errors import invalid
from mesh.ids import is_object_id
from mesh.numbers import parse_number
from parley.common.v1.chat_pb2 import Role

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
MAX_PAGE: Final = 1000
MAX_CURSOR_LENGTH: Final = 200
ROLES: Final = {"admin": Role.ROLE_ADMIN, "member": Role.ROLE_MEMBER}
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
        raise invalid(f"userId {USER_ID_RULE}")
    return text


def history_page(limit: str | None, before: str | None, page: str | None) -> HistoryPage:
    """The page that a query string asks for.

    Raises:
        InvalidArgument: out of range, no number, or both ``before`` and ``page``.
    """
    if before is not None and page is not None:
        raise invalid("give before or page, not both")
    return HistoryPage(
        limit=page_limit(limit),
        before_seq=0 if before is None else number("before", before, MAX_SEQ),
        page=0 if page is None else number("page", page, MAX_PAGE),
    )


def page_limit(text: str | None) -> int:
    """How many items a page may have.

    Raises:
        InvalidArgument: out of range, or no number.
    """
    return DEFAULT_LIMIT if text is None else number("limit", text, MAX_LIMIT)


def cursor(text: str | None) -> str:
    """Where a list goes on; empty at its beginning.

    Raises:
        InvalidArgument: too long for a cursor, or empty.
    """
    if text is not None and not 1 <= len(text) <= MAX_CURSOR_LENGTH:
        raise invalid("cursor must be the nextCursor of a page")
    return text or ""


def role(text: str | None) -> Role.ValueType:
    """Whom a list of members is about; UNSPECIFIED for everybody.

    Raises:
        InvalidArgument: no role.
    """
    if text is None:
        return Role.ROLE_UNSPECIFIED
    if text not in ROLES:
        raise invalid("role must be admin or member")
    return ROLES[text]


def number(name: str, text: str, most: int) -> int:
    """The number from 1 to ``most`` that a query string has for ``name``.

    Raises:
        InvalidArgument: out of range, or no number.
    """
    found = parse_number(text)
    if found is not None and 1 <= found <= most:
        return found
    raise invalid(f"{name} must be a number from 1 to {most}")
