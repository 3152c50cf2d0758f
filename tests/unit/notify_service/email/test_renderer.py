"""Mails as they are written."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from notify_service.email.digest import Digest, Email, UnreadChat
from notify_service.email.renderer import TemplateEmailRenderer
from notify_service.email.unsubscribe import UnsubscribeTokens
from notify_service.ports import SendRefusedError

TOKENS = UnsubscribeTokens("a secret of the tests, 32 bytes and more")
AT = 1_795_000_000_000  # 2026-11-18, 11:06:40 UTC
ADA = UnreadChat("a" * 24, "Ada", 1, "Ada", "hello", AT)
CREW = UnreadChat("b" * 24, "Crew", 12, "Bob", "moorings?", AT - 1000)


def letter(
    *chats: UnreadChat, unread: int | None = None, to: str = "bob@example.org", zone: str = "UTC"
) -> EmailMessage:
    """A letter as the reader's program has it, after all encoding."""
    total = sum(chat.unread for chat in chats) if unread is None else unread
    made = Email("e" * 24, "bob/ü", "d" * 24, AT, Digest(chats, total))
    written = letters().render(made, to, zone).as_bytes()
    written.decode("ascii")
    read = email.message_from_bytes(written, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


def letters(public_url: str = "https://chat.example.com/") -> TemplateEmailRenderer:
    return TemplateEmailRenderer("Harbour Chät <chat@example.com>", public_url, TOKENS)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    content: str = part.get_content()
    return content


def test_the_headers_say_who_whom_and_what() -> None:
    made = letter(ADA)
    assert made["From"] == "Harbour Chät <chat@example.com>"
    assert made["To"] == "bob@example.org"
    assert made["Subject"] == "1 unread message in Ada"
    assert made["Date"].datetime.timestamp() * 1000 == AT
    assert made["Message-ID"] == f"<{'e' * 24}@example.com>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made.get_content_type() == "multipart/alternative"


def test_mail_programs_find_the_way_to_unsubscribe_in_one_click() -> None:
    made = letter(ADA)
    link = f"https://chat.example.com/api/v1/unsubscribe?token={TOKENS.token('bob/ü')}"
    assert made["List-Unsubscribe"] == f"<{link}>"
    assert made["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link in body(made, "plain")
    assert f'href="{link}"' in body(made, "html")


def test_a_long_link_stays_whole() -> None:
    user_id = "\U0001f600" * 128
    made = Email("e" * 24, user_id, "d" * 24, AT, Digest((ADA,), 1))
    written = letters().render(made, "bob@example.org", "UTC").as_bytes()
    (line,) = [line for line in written.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    assert line.endswith(TOKENS.token(user_id).encode() + b">")
    assert max(map(len, written.split(b"\r\n"))) <= 998


def test_one_click_is_offered_over_https_alone() -> None:
    made = letters("http://127.0.0.1:8080").render(
        Email("e" * 24, "bob", "d" * 24, AT, Digest((ADA,), 1)), "bob@example.org", "UTC"
    )
    assert made["List-Unsubscribe"].startswith("<http://127.0.0.1:8080/api/v1/unsubscribe?token=")
    assert "List-Unsubscribe-Post" not in made


@pytest.mark.parametrize(
    ("chats", "unread", "subject"),
    [
        ((CREW,), 12, "12 unread messages in Crew"),
        ((ADA, CREW), 13, "13 unread messages in Ada and 1 other chat"),
        ((ADA, CREW, CREW), 1500, "1,500 unread messages in Ada and 2 other chats"),
    ],
)
def test_the_subject_counts(chats: tuple[UnreadChat, ...], unread: int, subject: str) -> None:
    assert letter(*chats, unread=unread)["Subject"] == subject


def test_both_bodies_say_the_same() -> None:
    made = letter(ADA, CREW, unread=20)
    for kind in ("plain", "html"):
        text = body(made, kind)
        for words in ("Ada", "hello", "Crew", "Bob: moorings?", "And 7 unread messages in other chats."):
            assert words in text
        assert "Ada: hello" not in text, "a direct chat names its only other user once"
        assert "Wednesday, 18 November, 11:06 UTC" in text


def test_times_are_those_of_the_readers_zone_where_it_is_known() -> None:
    assert "Wednesday, 18 November, 12:06 CET" in body(letter(ADA, zone="Europe/Berlin"), "plain")
    for unknown in ("", "Mars/Olympus", "../etc/passwd", "\x00"):
        assert "11:06 UTC" in body(letter(ADA, zone=unknown), "plain")


def test_without_a_preview_there_is_no_line_for_it() -> None:
    made = letter(UnreadChat("a" * 24, "Crew", 2, "Bob", "", AT))
    assert "Bob" not in body(made, "plain")
    assert 'class="soft"' not in body(made, "html")


def test_markup_in_names_and_messages_is_shown_and_does_nothing() -> None:
    evil = '<script>alert("1")</script><img src=x onerror=alert(1)>"\''
    html = body(letter(UnreadChat("a" * 24, evil, 1, evil, evil, AT)), "html")
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_an_encoded_word_in_a_name_is_not_decoded_into_a_header() -> None:
    made = letter(UnreadChat("a" * 24, "=?utf-8?q?Ada=0D=0ABcc:_eve@example.org?=", 1, "", "", AT))
    assert made["Bcc"] is None
    assert made["Subject"] == "1 unread message in =?utf-8?q?Ada=0D=0ABcc:_eve@example.org?="


def test_a_name_cannot_add_a_header_or_a_recipient() -> None:
    evil = "Ada\r\nBcc: eve@example.org\r\n\r\n<b>body</b>"
    made = letter(UnreadChat("a" * 24, evil, 1, evil, evil, AT))
    assert made["Bcc"] is None
    assert made["Subject"] == "1 unread message in Ada Bcc: eve@example.org <b>body</b>"
    assert len(made.get_all("To", [])) == 1


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "bob@",
        "@example.org",
        "bob@example.org\r\nBcc: eve@example.org",
        "a@b, c@d",
        "bób@example.org",
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(SendRefusedError):
        letter(ADA, to=address)
