"""Writes mails: text and HTML by the templates, and headers that nothing in a name can break out of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from typing_extensions import override

from contract.text import ELLIPSIS, cut, one_line
from notify_service.domain.mailbox import parse_mailbox
from notify_service.email.digest import Digest, Email, UnreadChat
from notify_service.email.headers import POLICY
from notify_service.email.ports import EmailRenderer
from notify_service.email.unsubscribe import UnsubscribeTokens
from notify_service.ports import NotAskedError

_TEMPLATES: Final = Path(__file__).parent.parent / "templates"
_MAX_TITLE: Final = 60
"""Characters, as people count them, of a chat's title in the subject; more is cut."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A chat in the words of a mail."""

    title: str
    badge: int
    count: str
    line: str
    when: str


class TemplateEmailRenderer(EmailRenderer):
    """The `EmailRenderer` port.

    `sender` is a mailbox such as `Parley <chat@example.com>`, whose display name is how the mails call this
    deployment; `public_url` is where people reach the edge.
    """

    def __init__(self, sender: str, public_url: str, tokens: UnsubscribeTokens) -> None:
        self._from = parse_mailbox(sender)
        self._product = self._from.display_name or self._from.domain
        self._app_url = public_url.rstrip("/")
        self._tokens = tokens
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    @override
    def render(self, email: Email, address: str, time_zone: str) -> EmailMessage:
        """The message, with one body for each way of reading it."""
        heading = _heading(email.digest)
        link = f"{self._app_url}/api/v1/unsubscribe?{urlencode({'token': self._tokens.token(email.user_id)})}"
        message = EmailMessage(policy=POLICY)
        message["From"] = self._from
        message["To"] = _mailbox(address)
        message["Subject"] = heading
        message["Date"] = format_datetime(datetime.fromtimestamp(email.created_at_ms / 1000, UTC))
        message["Message-ID"] = f"<{email.id}@{self._from.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice comes back
        message["List-Unsubscribe"] = f"<{link}>"
        if urlsplit(link).scheme == "https":
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058: https alone
        context = self._context(email.digest, heading, link, _zone(time_zone))
        message.set_content(
            self._templates.get_template("digest.txt").render(context), cte="quoted-printable"
        )
        message.add_alternative(
            self._templates.get_template("digest.html").render(context),
            subtype="html",
            cte="quoted-printable",
        )
        return message

    def _context(self, digest: Digest, heading: str, link: str, zone: ZoneInfo) -> Mapping[str, object]:
        chats = [_shown(chat, zone) for chat in digest.chats]
        hidden = digest.unread - sum(chat.unread for chat in digest.chats)
        return {
            "product": self._product,
            "heading": heading,
            "preheader": " · ".join(chat.line or chat.title for chat in chats[:3]),
            "chats": chats,
            "more": f"And {_count(hidden)} in other chats." if hidden > 0 else "",
            "app_url": self._app_url,
            "unsubscribe_url": link,
            "why": f"You get this mail because you have not read these messages in {self._product}.",
        }


def _heading(digest: Digest) -> str:
    first = digest.chats[0]
    title = cut(first.title, _MAX_TITLE, ellipsis=ELLIPSIS)
    if len(digest.chats) == 1:
        return one_line(f"{_count(digest.unread)} in {title}")
    others = len(digest.chats) - 1
    return one_line(f"{_count(digest.unread)} in {title} and {others} other chat{'s' if others > 1 else ''}")


def _shown(chat: UnreadChat, zone: ZoneInfo) -> _Shown:
    title, sender, preview = one_line(chat.title), one_line(chat.sender_name), one_line(chat.preview)
    # In a direct chat the title says already who it is.
    line = preview if sender == title or not preview else f"{sender}: {preview}"
    at = datetime.fromtimestamp(chat.at_ms / 1000, zone)
    when = f"{at:%A}, {at.day} {at:%B}, {at:%H:%M} {at:%Z}"
    return _Shown(title, chat.unread, _count(chat.unread), line, when)


def _count(number: int) -> str:
    return f"{number:,} unread message{'' if number == 1 else 's'}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _mailbox(address: str) -> Address:
    """The stored address, which is in its ASCII form."""
    if not address.isascii():
        raise NotAskedError("this is not a mail address in its ASCII form")
    try:
        return Address(addr_spec=address)
    except (ValueError, IndexError, MessageError) as error:
        raise NotAskedError("this is not a mail address") from error
