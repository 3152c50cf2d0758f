"""Mailboxes: a mail address and the name that goes with it."""

from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses


def parse_mailbox(text: str) -> Address:
    """`Parley <chat@example.com>`, or the address alone.

    Raises:
        ValueError: it is something else.
    """
    refused = ValueError("is not a mailbox such as Parley <chat@example.com>")
    found = getaddresses([text])
    if len(found) != 1 or not text.isprintable():
        raise refused
    ((name, address),) = found
    local_part, _, domain = address.rpartition("@")
    if not address.isascii() or not local_part or not domain:
        raise refused
    try:
        return Address(name, addr_spec=address)
    except (ValueError, IndexError, MessageError):
        raise refused from None
