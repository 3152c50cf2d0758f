"""What a notification says, and that the log shows no more than that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contract.text import one_line
from notify_service.domain.device import implicit_log_device
from notify_service.domain.notification import ContentType, Message
from notify_service.domain.push import Push, PushKind
from notify_service.domain.wording import PREVIEW_CHARACTERS, Wording, preview, word
from notify_service.providers.log.sender import LogSender

MESSAGE = Message("a" * 24, "c" * 24, 1, "alice", "see\n you  soon", 1_000, sender_name="Alice A.")
GROUP = replace(MESSAGE, chat_name="Friends", direct=False)


def wording(message: Message, count: int = 1, *, show: bool = True, deleted: bool = False) -> Wording:
    return word(preview(message), count, show_preview=show, deleted=deleted)


def test_names_the_sender_and_shows_one_line() -> None:
    assert wording(MESSAGE) == Wording("Alice A.", "see you soon")


def test_names_the_group_and_an_unknown_sender_by_id() -> None:
    assert wording(GROUP).title == "Alice A. · Friends"
    assert wording(replace(GROUP, sender_name="")).title == "alice · Friends"


@pytest.mark.parametrize(
    ("count", "show", "body"),
    [
        (1, False, "New message"),
        (50, True, "50 new messages: see you soon"),
        (50, False, "50 new messages"),
    ],
)
def test_counts_what_it_stands_for_and_hides_what_it_says(count: int, show: bool, body: str) -> None:  # noqa: FBT001
    assert wording(GROUP, count, show=show) == Wording("Alice A. · Friends", body)


@pytest.mark.parametrize(
    ("message", "title"), [(GROUP, "Friends"), (MESSAGE, "Alice A.")], ids=["group", "direct"]
)
@pytest.mark.parametrize(("count", "body"), [(1, "New message"), (3, "3 new messages")])
def test_what_was_deleted_is_not_shown(message: Message, title: str, count: int, body: str) -> None:
    assert wording(message, count, deleted=True) == Wording(title, body)


def test_a_long_message_is_cut() -> None:
    body = wording(replace(MESSAGE, content="x" * 1000)).body
    assert len(body) == PREVIEW_CHARACTERS
    assert body.endswith("x…")


@pytest.mark.parametrize("whole", ["👨‍👩‍👧‍👦", "👋🏽", "🇩🇪", "e\u0301", "1️⃣", "क्षि"])
def test_a_preview_takes_no_character_apart(whole: str) -> None:
    for before in range(PREVIEW_CHARACTERS - 9, PREVIEW_CHARACTERS + 2):
        body = wording(replace(MESSAGE, content="x" * before + whole + "y" * 500)).body
        kept = body.removesuffix("…").lstrip("x").rstrip("y")
        assert kept in {"", whole}
        assert body.endswith("…")


def test_a_sender_whose_name_shows_nothing_is_named_by_the_id() -> None:
    for nothing in ("\u200b", "\u2060\ufeff", "\u3164\u2800", "\u202e", "\u00ad"):
        assert wording(replace(MESSAGE, sender_name=nothing, chat_name=nothing)).title == "alice"


@pytest.mark.parametrize(
    ("kind", "body"), [(ContentType.IMAGE, "Sent an image"), (ContentType.FILE, "Sent a file")]
)
def test_an_address_is_no_preview(kind: ContentType, body: str) -> None:
    file = replace(MESSAGE, content="https://files.example/secret", content_type=kind)
    assert wording(file).body == body


def test_a_name_breaks_no_header_and_turns_nothing_around() -> None:
    evil = replace(
        MESSAGE, sender_name="Bob\r\nBcc: all@example.com\x00\u202egnp.exe\u2028x", chat_name="\x1b[2J"
    )
    assert wording(evil).title == "Bob Bcc: all@example.com gnp.exe x · [2J"


def test_a_name_of_nothing_but_control_characters_gives_way_to_the_id() -> None:
    assert wording(replace(MESSAGE, sender_name="\r\n\u202e")).title == "alice"


def test_a_family_stays_together() -> None:
    family = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
    assert wording(replace(MESSAGE, sender_name=family)).title == family


@given(st.text())
def test_one_line_is_one_line_and_stays_it(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
    assert all(character == " " or not character.isspace() for character in line)


async def test_a_hidden_preview_reaches_no_log() -> None:
    words = wording(MESSAGE, show=False)
    push = Push(PushKind.SHOW, MESSAGE.chat_id, 1, title=words.title, body=words.body)
    with capture_logs() as lines:
        await LogSender().send(push, implicit_log_device("bob"))
    assert [line["event"] for line in lines] == ["notification.shown"]
    assert lines[0]["body"] == "New message"
    assert "soon" not in str(lines)
