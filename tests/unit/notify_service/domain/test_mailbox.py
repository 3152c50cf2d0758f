"""The setting that says whom mails are from."""

import pytest
from pydantic import ValidationError

from notify_service.domain.mailbox import parse_mailbox
from notify_service.settings import NotifySettings


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("chat@example.com", "", "chat@example.com"),
        ("Parley <chat@example.com>", "Parley", "chat@example.com"),
        ('"Harbour, Chät" <chat@example.com>', "Harbour, Chät", "chat@example.com"),
    ],
)
def test_a_mailbox_has_an_address_and_maybe_a_name(text: str, name: str, address: str) -> None:
    mailbox = parse_mailbox(text)
    assert (mailbox.display_name, mailbox.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chat",
        "chat@",
        "@example.com",
        "Parley <>",
        "a@b, c@d",
        "a@b\r\nBcc: c@d",
        "chät@example.com",
        "a b@c",
    ],
)
def test_anything_else_is_told_from_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a mailbox"):
        parse_mailbox(text)


def settings(**fields: object) -> NotifySettings:
    required = {
        "service_secret": "s" * 32,
        "amqp_url": "amqp://127.0.0.1",
        "mongo_url": "mongodb://127.0.0.1",
    }
    return NotifySettings.model_validate(required | fields)


def test_the_settings_name_what_is_wrong_with_mails() -> None:
    assert settings(notify_smtp_host="mail", notify_smtp_from="chat@example.com").notify_smtp_port == 587
    with pytest.raises(ValidationError, match="is not a mailbox"):
        settings(notify_smtp_host="mail", notify_smtp_from="chat")
    with pytest.raises(ValidationError, match="e-mail needs PARLEY_NOTIFY_SMTP_FROM as well"):
        settings(notify_smtp_host="mail")
    with pytest.raises(ValidationError, match="notify_smtp_security"):
        settings(notify_smtp_security="maybe")
