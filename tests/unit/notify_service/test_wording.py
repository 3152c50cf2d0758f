"""What a notification says, and that the log shows no more than that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from notify_service.adapters.log_sender import LogSender
from notify_service.domain.device import implicit_log_device
from notify_service.domain.notification import ContentType, Notification
from notify_service.domain.preferences import Preferences
from notify_service.domain.wording import PREVIEW_CHARACTERS, Wording, word

NOTIFICATION = Notification("bob", "c" * 24, "a" * 24, "alice", "see\n you  soon", sender_name="Alice A.")


def test_names_the_sender_and_shows_one_line() -> None:
    assert word(NOTIFICATION, Preferences()) == Wording("Alice A.", "see you soon")


def test_names_the_group_and_an_unknown_sender_by_id() -> None:
    group = replace(NOTIFICATION, chat_name="Friends", sender_name="")
    assert word(group, Preferences()).title == "alice · Friends"


def test_a_long_message_is_cut() -> None:
    body = word(replace(NOTIFICATION, content="x" * 1000), Preferences()).body
    assert len(body) == PREVIEW_CHARACTERS
    assert body.endswith("x…")


@pytest.mark.parametrize(
    ("kind", "body"), [(ContentType.IMAGE, "Sent an image"), (ContentType.FILE, "Sent a file")]
)
def test_an_address_is_no_preview(kind: ContentType, body: str) -> None:
    file = replace(NOTIFICATION, content="https://files.example/secret", content_type=kind)
    assert word(file, Preferences()).body == body


async def test_a_hidden_preview_reaches_no_log() -> None:
    wording = word(NOTIFICATION, Preferences(show_preview=False))
    with capture_logs() as lines:
        await LogSender().send(NOTIFICATION, wording, implicit_log_device("bob"))
    assert [line["event"] for line in lines] == ["notification.shown"]
    assert lines[0]["body"] == "New message"
    assert "soon" not in str(lines)
