"""The setting that says whom mails are from."""

import pytest

from notify_service.domain.mailbox import parse_mailbox


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
