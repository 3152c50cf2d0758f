"""What a digest holds."""

from dataclasses import replace

import pytest

from notify_service.domain.notification import ContentType
from notify_service.domain.preferences import MutedChat, Preferences
from notify_service.email.digest import (
    MAX_CHATS,
    MAX_PREVIEW,
    WaitingChat,
    compose,
    people,
    worth_mailing,
)

NOW = 1_000_000_000
DIRECT = WaitingChat(
    chat_id="a" * 24,
    group_name="",
    peer_id="bob",
    unread=2,
    first_unread_number=5,
    sender_id="bob",
    content_type=ContentType.TEXT,
    text="hello",
    at_ms=NOW - 5_000,
)
GROUP = replace(DIRECT, chat_id="b" * 24, group_name="Crew", peer_id="", unread=3, at_ms=NOW - 1_000)


def test_the_last_changed_chat_comes_first() -> None:
    assert worth_mailing([DIRECT, GROUP], Preferences(), 0, NOW) == [GROUP, DIRECT]


def test_what_was_in_the_digest_before_is_not_mailed_again() -> None:
    assert worth_mailing([DIRECT, GROUP], Preferences(), NOW - 2_000, NOW) == [GROUP]
    assert worth_mailing([DIRECT, GROUP], Preferences(), GROUP.at_ms, NOW) == []


@pytest.mark.parametrize(("until_ms", "mailed"), [(0, False), (NOW + 1, False), (NOW, True), (NOW - 1, True)])
def test_muted_chats_are_left_out_while_they_are_muted(until_ms: int, *, mailed: bool) -> None:
    wishes = Preferences(muted_chats=(MutedChat(DIRECT.chat_id, until_ms),))
    assert worth_mailing([DIRECT], wishes, 0, NOW) == ([DIRECT] if mailed else [])


def test_names_stand_where_there_are_some_and_ids_elsewhere() -> None:
    digest = compose([GROUP, DIRECT], {"bob": "Bob  Builder"}, Preferences())
    assert [(chat.title, chat.sender_name) for chat in digest.chats] == [
        ("Crew", "Bob Builder"),
        ("Bob Builder", "Bob Builder"),
    ]
    assert compose([DIRECT], {"bob": " \n"}, Preferences()).chats[0].title == "bob"
    assert people([GROUP, DIRECT]) == {"bob"}
    nobody = replace(DIRECT, peer_id="\x00", sender_id="\x00")
    assert compose([nobody], {}, Preferences()).chats[0].title == "Somebody"


def test_hidden_previews_say_that_there_is_something_and_not_what() -> None:
    (chat,) = compose([DIRECT], {}, Preferences(show_preview=False)).chats
    assert chat.preview == ""
    assert (chat.title, chat.unread) == ("bob", 2)


@pytest.mark.parametrize(
    ("content_type", "preview"), [(ContentType.IMAGE, "Sent an image"), (ContentType.FILE, "Sent a file")]
)
def test_a_picture_is_named_and_its_address_not_shown(content_type: ContentType, preview: str) -> None:
    chat = replace(DIRECT, content_type=content_type, text="https://files.example/secret")
    assert compose([chat], {}, Preferences()).chats[0].preview == preview


def test_long_texts_are_cut() -> None:
    (chat,) = compose([replace(DIRECT, text="x" * 500)], {}, Preferences()).chats
    assert chat.preview == "x" * (MAX_PREVIEW - 1) + "…"
    family = "👨‍👩‍👧‍👦"
    (chat,) = compose(
        [replace(DIRECT, text="x" * (MAX_PREVIEW - 2) + family + "y" * 500)], {}, Preferences()
    ).chats
    assert chat.preview == "x" * (MAX_PREVIEW - 2) + family + "…"


def test_a_name_that_shows_nothing_gives_way_to_the_id() -> None:
    (chat,) = compose([DIRECT], {"bob": "\u200b\u3164"}, Preferences()).chats
    assert (chat.title, chat.sender_name) == ("bob", "bob")


def test_a_mail_shows_twenty_chats_and_counts_all() -> None:
    chats = [replace(DIRECT, chat_id=f"{n:024x}", sender_id=f"u{n}", peer_id=f"u{n}") for n in range(30)]
    digest = compose(chats, {}, Preferences())
    assert len(digest.chats) == MAX_CHATS
    assert digest.unread == 60
    assert people(chats) == {f"u{n}" for n in range(MAX_CHATS)}
