"""What the server shows, as dataclasses: those that it declares (`declared.py`), and pages of them."""

from dataclasses import dataclass

from parley_client.declared import (
    Chat,
    Json,
    Member,
    Message,
    chat_from,
    member_from,
    message_from,
)


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Some of the user's chats, the last changed first; `next_cursor` is None on the last page."""

    chats: tuple[Chat, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some of the members, in the order of joining; `next_cursor` is None on the last page."""

    members: tuple[Member, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far somebody has seen a chat."""

    chat_id: str
    seq: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, the oldest first; `has_more`: there are older ones."""

    messages: tuple[Message, ...]
    has_more: bool


def chat_page_from(data: Json) -> ChatPage:
    """A page of chats."""
    return ChatPage(tuple(map(chat_from, data["chats"])), data["nextCursor"])


def member_page_from(data: Json) -> MemberPage:
    """A page of members."""
    return MemberPage(tuple(map(member_from, data["members"])), data["nextCursor"])


def page_from(data: Json) -> Page:
    """A page of history."""
    return Page(tuple(map(message_from, data["messages"])), data["hasMore"])
