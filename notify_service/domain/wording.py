"""What a notification says."""

from dataclasses import dataclass

from notify_service.domain.notification import ContentType, Notification
from notify_service.domain.preferences import Preferences

PREVIEW_CHARACTERS = 140
_HIDDEN = "New message"
_WITHOUT_TEXT = {ContentType.IMAGE: "Sent an image", ContentType.FILE: "Sent a file"}


@dataclass(frozen=True, slots=True)
class Wording:
    """The two lines that every provider knows."""

    title: str
    body: str


def word(notification: Notification, preferences: Preferences) -> Wording:
    """Names the sender, and the group if there is one; shows the message only to those who want that."""
    sender = notification.sender_name or notification.sender_id
    title = f"{sender} · {notification.chat_name}" if notification.chat_name else sender
    if not preferences.show_preview:
        return Wording(title, _HIDDEN)
    return Wording(title, _WITHOUT_TEXT.get(notification.content_type) or _preview(notification.content))


def _preview(content: str) -> str:
    line = " ".join(content.split())
    return line if len(line) <= PREVIEW_CHARACTERS else line[: PREVIEW_CHARACTERS - 1] + "…"
