"""Whatever people call themselves and write: a mail keeps its form, and a token its user."""

import email
import email.policy
from email.message import EmailMessage
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from contract.user_ids import is_user_id
from mesh.errors import InvalidArgument
from notify_service.email.digest import Digest, Email, UnreadChat
from notify_service.email.renderer import TemplateEmailRenderer
from notify_service.email.unsubscribe import UnsubscribeTokens

_TOKENS = UnsubscribeTokens("a secret of the tests, 32 bytes and more")
_LETTERS = TemplateEmailRenderer("Parley <chat@example.com>", "https://chat.example.com", _TOKENS)
_CHARACTERS = st.characters(codec="utf-8")
_HOSTILE = st.sampled_from(
    [
        "\r\n",
        "\n",
        "\r",
        "\x00",
        "\x0b",
        "\u2028",
        "Bcc: eve@example.org",
        "=?utf-8?q?=0D=0ABcc:_eve@example.org?=",
    ]
)
_TEXTS = st.lists(st.text(_CHARACTERS) | _HOSTILE, max_size=6).map("".join)
_CHATS = st.builds(
    UnreadChat,
    chat_id=st.just("a" * 24),
    title=_TEXTS,
    unread=st.integers(1, 2**40),
    sender_name=_TEXTS,
    preview=_TEXTS,
    at_ms=st.integers(1, 4_102_444_800_000),
)
_HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]


def _tags(letter: EmailMessage) -> list[str]:
    part = letter.get_body(("html",))
    assert isinstance(part, EmailMessage)
    parser = _Tags()
    parser.feed(part.get_content())
    return parser.tags


def _plain(chat: UnreadChat) -> UnreadChat:
    """The same chat with harmless words wherever it shows some."""
    title = "title" if chat.title.strip() else ""
    return UnreadChat(chat.chat_id, title, chat.unread, "sender", "words", chat.at_ms)


def _read(chats: tuple[UnreadChat, ...], user_id: str = "bob") -> EmailMessage:
    made = Email("e" * 24, user_id, "d" * 24, 1_795_000_000_000, Digest(chats, sum(c.unread for c in chats)))
    written = _LETTERS.render(made, "bob@example.org", "UTC").as_bytes()
    written.decode("ascii")
    assert max(map(len, written.split(b"\r\n"))) <= 998
    assert b"\n" not in written.replace(b"\r\n", b"")
    letter = email.message_from_bytes(written, policy=email.policy.default)
    assert isinstance(letter, EmailMessage)
    return letter


@settings(max_examples=60)
@given(st.lists(_CHATS, min_size=1, max_size=3).map(tuple))
def test_names_and_messages_change_no_header_and_no_tag(chats: tuple[UnreadChat, ...]) -> None:
    letter = _read(chats)
    assert set(letter.keys()) == _HEADERS
    assert len(letter.keys()) == len(_HEADERS)
    assert letter["To"] == "bob@example.org"
    assert not letter.defects
    assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
    shown = set(_tags(letter))
    assert shown <= set(_tags(_read(tuple(map(_plain, chats))))) | {"p", "dir", "style", "class"}


@given(st.text(_CHARACTERS, min_size=1, max_size=128).filter(is_user_id))
def test_a_token_gives_its_user_back(user_id: str) -> None:
    assert _TOKENS.user_id(_TOKENS.token(user_id)) == user_id


@given(st.text(max_size=200), st.text(min_size=1, max_size=20), st.data())
def test_nothing_else_is_a_token(garbage: str, user_id: str, data: st.DataObject) -> None:
    token = _TOKENS.token("bob")
    at = data.draw(st.integers(0, len(token) - 1))
    cut = data.draw(st.sampled_from([token[:at], token[:at] + user_id + token[at + 1 :], garbage]))
    if cut == token:
        return
    try:
        found = _TOKENS.user_id(cut)
    except InvalidArgument:
        return
    raise AssertionError(f"{cut!r} was taken for a token of {found!r}")
