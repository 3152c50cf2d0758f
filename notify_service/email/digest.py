"""What a mail about unread messages says, and which chats it is about. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from contract.text import one_line
from notify_service.domain.decision import Reason
from notify_service.domain.notification import ContentType
from notify_service.domain.preferences import Preferences
from notify_service.domain.wording import gist
from notify_service.inbox.recheck import Attention

MAX_CHATS: Final = 20
MAX_PREVIEW: Final = 200
"""Characters as people count them."""
_NAMELESS: Final = "Somebody"
"""Whose name and id hold nothing that can be shown."""


@dataclass(frozen=True, slots=True)
class DueDigest:
    """A user whose unread messages are to be looked at now, and whom this process holds."""

    user_id: str
    due_at_ms: int
    last_mailed_ms: int
    """When the user was last mailed; 0 for never."""
    claim: str
    """Names the holding."""


@dataclass(frozen=True, slots=True)
class WaitingChat:
    """A chat in which a user has not read everything."""

    chat_id: str
    group_name: str
    """Empty for direct chats."""
    peer_id: str
    """The other user of a direct chat; empty for groups."""
    unread: int
    first_unread_number: int
    """The message count at the oldest unread message."""
    sender_id: str
    """Who sent the last message."""
    content_type: ContentType
    text: str
    at_ms: int
    """When the last message was sent, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class UnreadChat:
    """A chat as a mail shows it. The texts are single lines without control characters."""

    chat_id: str
    title: str
    unread: int
    sender_name: str
    preview: str
    """Empty for users who hide previews."""
    at_ms: int


@dataclass(frozen=True, slots=True)
class Digest:
    """What stayed unread."""

    chats: tuple[UnreadChat, ...]
    """At least one and at most `MAX_CHATS`, the last changed first."""
    unread: int
    """Unread messages, those in chats that found no place included."""


@dataclass(frozen=True, slots=True)
class Email:
    """One mail to one device of kind `EMAIL`."""

    id: str
    """24 lower-case hex digits, the same when the same mail is made again."""
    user_id: str
    device_id: str
    created_at_ms: int
    digest: Digest


def worth_mailing(
    chats: Iterable[WaitingChat], preferences: Preferences, last_digest_ms: int, now_ms: int
) -> list[WaitingChat]:
    """Chats that are not muted and had a message since the last digest, the last changed first."""
    muted = {chat.chat_id for chat in preferences.muted_chats if chat.is_muted(now_ms)}
    wanted = (chat for chat in chats if chat.chat_id not in muted and chat.at_ms > last_digest_ms)
    return sorted(wanted, key=lambda chat: chat.at_ms, reverse=True)


def people(chats: Sequence[WaitingChat]) -> set[str]:
    """Whose names the mail shows."""
    shown = chats[:MAX_CHATS]
    return {chat.sender_id for chat in shown} | {chat.peer_id for chat in shown if chat.peer_id}


def compose(chats: Sequence[WaitingChat], names: Mapping[str, str], preferences: Preferences) -> Digest:
    """The digest of chats that are worth mailing; a user without a name is shown by the id."""

    def named(user_id: str) -> str:
        return one_line(names.get(user_id, "")) or one_line(user_id) or _NAMELESS

    return Digest(
        chats=tuple(
            UnreadChat(
                chat_id=chat.chat_id,
                title=one_line(chat.group_name) or named(chat.peer_id or chat.sender_id),
                unread=chat.unread,
                sender_name=named(chat.sender_id),
                preview=gist(chat.content_type, chat.text, MAX_PREVIEW) if preferences.show_preview else "",
                at_ms=chat.at_ms,
            )
            for chat in chats[:MAX_CHATS]
        ),
        unread=sum(chat.unread for chat in chats),
    )


def still_unread(
    digest: Digest, attentions: Sequence[Attention], preferences: Preferences, now_ms: int
) -> Digest | Reason:
    """What of a digest may be mailed by now, with what is known of its chats, in order; or why nothing may.

    Chats that were read, left or muted meanwhile are left out, and all previews where they are hidden by now.
    Chats that found no place in it are counted as before.
    """
    muted = {chat.chat_id for chat in preferences.muted_chats if chat.is_muted(now_ms)}
    left: list[UnreadChat] = []
    why = Reason.READ
    for chat, attention in zip(digest.chats, attentions, strict=True):
        if not attention.member:
            why = Reason.NOT_A_MEMBER
        elif chat.chat_id in muted:
            why = Reason.MUTED
        elif attention.unread:
            preview = chat.preview if preferences.show_preview else ""
            left.append(replace(chat, unread=attention.unread, preview=preview))
    if not left:
        return why
    unlisted = digest.unread - sum(chat.unread for chat in digest.chats)
    return Digest(tuple(left), unlisted + sum(chat.unread for chat in left))
