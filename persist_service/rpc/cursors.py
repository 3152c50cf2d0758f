"""Cursors as text. Callers hand them back and read nothing in them."""

import re
from typing import Final

from mesh.errors import InvalidArgument
from parley.common.v1.error_pb2 import ErrorReason
from persist_service.domain.chat_pages import Changed, ListCursor, Older, Place
from persist_service.domain.chats import MemberPlace

_TIME: Final = r"([0-9]{1,15})"
_ID: Final = r"([0-9a-f]{24})"
_OLDER: Final = re.compile(rf"o-{_TIME}-{_ID}-{_TIME}", re.ASCII)
_CHANGED: Final = re.compile(rf"c-{_TIME}-([0-9a-f]{{24}}|)", re.ASCII)
_MEMBER: Final = re.compile(rf"m-{_TIME}-{_ID}", re.ASCII)


def list_cursor(text: str) -> ListCursor | None:
    """The place in a list of chats; None at the beginning.

    Raises:
        InvalidArgument: no ``list_cursor_text`` made it.
    """
    if not text:
        return None
    if found := _OLDER.fullmatch(text):
        return Older(Place(int(found[1]), found[2]), int(found[3]))
    if found := _CHANGED.fullmatch(text):
        return Changed(Place(int(found[1]), found[2]))
    raise _no_cursor()


def list_cursor_text(cursor: ListCursor | None) -> str:
    """What ``list_cursor`` reads."""
    if cursor is None:
        return ""
    if isinstance(cursor, Changed):
        return f"c-{cursor.after.at_ms}-{cursor.after.chat_id}"
    return f"o-{cursor.before.at_ms}-{cursor.before.chat_id}-{cursor.since_ms}"


def member_cursor(text: str) -> MemberPlace | None:
    """The place in a list of members; raises as ``list_cursor``."""
    if not text:
        return None
    if found := _MEMBER.fullmatch(text):
        return MemberPlace(int(found[1]), found[2])
    raise _no_cursor()


def member_cursor_text(place: MemberPlace | None) -> str:
    """What ``member_cursor`` reads."""
    return "" if place is None else f"m-{place.joined_at_ms}-{place.membership_id}"


def _no_cursor() -> InvalidArgument:
    return InvalidArgument(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, "cursor is none that a page ended with")
