"""Mailboxes: a mail address and the name that goes with it."""

from email.headerregistry import Address
from email.utils import parseaddr


def parse_mailbox(text: str) -> Address:
    """`Parley <chat@example.com>`, or the address alone.

    Raises:
        ValueError: it is something else.
    """
    name, address = parseaddr(text)
    local_part, _, domain = address.rpartition("@")
    if not text.isprintable() or not address.isascii() or not local_part or not domain:
        raise ValueError("is not a mailbox such as Parley <chat@example.com>")
    try:
        return Address(name, addr_spec=address)
    except (ValueError, IndexError) as error:
        raise ValueError("is not a mailbox such as Parley <chat@example.com>") from error
