"""Pages of a user's chats, the last changed first, though chats move to the front while somebody pages.

A chat that moves from what is still to come to what was shown already would be missed. So after the last
page come those that changed since the first one, the longest unchanged first: whoever moves then moves ahead
of the reader. It takes no more memory than a cursor has, and no chat is missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from persist_service.domain.chats import ChatState, Role

# By then a change that was under way when the first page was read is stored: see "Coming back" in the docs.
LATE_MS: Final = 900_000


@dataclass(frozen=True, slots=True)
class UserChat:
    """A chat as one user has it."""

    state: ChatState
    role: Role
    read_seq: int
    read_number: int

    @property
    def place(self) -> "Place":
        """Where it stands in the list."""
        return Place(self.state.updated_at_ms, self.state.chat_id)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place among a user's chats; no two are equal."""

    at_ms: int
    chat_id: str


@dataclass(frozen=True, slots=True)
class Older:
    """Goes on below ``before``, and then with what changed after ``since_ms``."""

    before: Place
    since_ms: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Goes on with what changed after that place."""

    after: Place


ListCursor = Older | Changed


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Some of a user's chats; ``next`` is None after the last page."""

    chats: tuple[UserChat, ...]
    next: ListCursor | None


def page_of(chats: Iterable[UserChat], cursor: ListCursor | None, limit: int, now_ms: int) -> ChatPage:
    """The page at the cursor, the first one without; ``chats`` are all of the user's, in any order."""
    if isinstance(cursor, Changed):
        changed = sorted((chat for chat in chats if chat.place > cursor.after), key=_place)
        page = tuple(changed[:limit])
        return ChatPage(page, Changed(page[-1].place) if len(changed) > limit else None)
    older = sorted(
        (chat for chat in chats if cursor is None or chat.place < cursor.before), key=_place, reverse=True
    )
    page = tuple(older[:limit])
    since_ms = now_ms - LATE_MS if cursor is None else cursor.since_ms
    if len(older) > limit:
        return ChatPage(page, Older(page[-1].place, since_ms))
    return ChatPage(page, None if cursor is None else Changed(Place(since_ms, "")))


def _place(chat: UserChat) -> Place:
    return chat.place
