"""What a notification says."""

from dataclasses import dataclass
from typing import Final

from contract.text import one_line, summary
from notify_service.domain.notification import ContentType, Message

PREVIEW_CHARACTERS: Final = 140
"""As people count them: grapheme clusters."""
_WITHOUT_TEXT: Final = {ContentType.IMAGE: "Sent an image", ContentType.FILE: "Sent a file"}


@dataclass(frozen=True, slots=True)
class Preview:
    """As much of a message as a notification shows: all that is kept of its content until then."""

    message_id: str
    sender_id: str
    title: str
    """The sender's name, and the group's if there is one."""
    chat_title: str
    """What names the chat without its last sender."""
    body: str
    at_ms: int
    """When the message was accepted."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The two lines that every provider knows."""

    title: str
    body: str


def preview(message: Message) -> Preview:
    """One line of the message, and how to name who sent it. Nothing of it can break a line or a header."""
    sender = one_line(message.sender_name) or one_line(message.sender_id)
    chat = one_line(message.chat_name)
    body = gist(message.content_type, message.content, PREVIEW_CHARACTERS)
    return Preview(
        message_id=message.id,
        sender_id=message.sender_id,
        title=f"{sender} · {chat}" if chat else sender,
        chat_title=chat or sender,
        body=body,
        at_ms=message.created_at_ms,
    )


def word(last: Preview, count: int, *, show_preview: bool, deleted: bool = False) -> Wording:
    """The wording for `count` unread messages of a chat, of which `last` is the last.

    What it says is shown only to those who want that, and not when it was deleted meanwhile.
    """
    if deleted:
        return Wording(last.chat_title, withheld(count))
    if not show_preview:
        return Wording(last.title, withheld(count))
    return Wording(last.title, f"{withheld(count)}: {last.body}" if count > 1 else last.body)


def withheld(count: int) -> str:
    """That there are so many messages, and not what they say."""
    return f"{count} new messages" if count > 1 else "New message"


def gist(content_type: ContentType, content: str, characters: int) -> str:
    """One line for what a message holds: the beginning of its text, or what it is instead of a text."""
    return _WITHOUT_TEXT.get(content_type) or summary(content, characters)
