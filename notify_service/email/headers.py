"""How the headers of mails are written: what a reader decodes is what was meant, on every Python.

The standard library's own folding fails where a value is longer than a line. It drops the quotes of a
display name, so that a comma in it begins another mailbox, and up to 3.12.1 the space between an encoded word
and what follows. Here a line is folded between encoded words (RFC 2047) and nowhere else.
"""

from base64 import b64encode
from email import policy
from email.headerregistry import (
    BaseHeader,
    HeaderRegistry,
    UniqueSingleAddressHeader,
    UniqueUnstructuredHeader,
    UnstructuredHeader,
)
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from email.policy import EmailPolicy

_LINE: Final = 76
"""Characters of a line with an encoded word, at most (RFC 2047, 2)."""
_LONGEST_LINE: Final = 900
"""What is plain is not folded: 998 characters are allowed (RFC 5322, 2.1.1)."""
_AROUND_A_WORD: Final = len("=?utf-8?b??=")


class _Text(UniqueUnstructuredHeader):
    """Any text; it means itself, also where it looks like an encoded word."""

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        _take_literally(value, kwds)

    def fold(self, *, policy: Any) -> str:
        text = str(self)
        line = f"{_name(self)}: {text}"
        return (line if _is_plain(text, line) else _encoded(_name(self), text)) + str(policy.linesep)


class _Mailbox(UniqueSingleAddressHeader):
    """One address, with a display name or without."""

    def fold(self, *, policy: Any) -> str:
        address = self.address
        line = f"{_name(self)}: {address}"
        if not _is_plain(address.display_name, line):
            line = f"{_encoded(_name(self), address.display_name)}\r\n <{address.addr_spec}>"
        return line + str(policy.linesep)


class _Unfolded(UnstructuredHeader):
    """One line, however long (RFC 5322 allows 998 characters).

    The standard library breaks a URL or an id that is longer than a line into encoded words, which nothing
    that reads this header decodes.
    """

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        _take_literally(value, kwds)

    def fold(self, *, policy: Any) -> str:
        return f"{_name(self)}: {self}{policy.linesep}"


def _registry() -> HeaderRegistry:
    headers = HeaderRegistry()
    for name, kind in (
        ("from", _Mailbox),
        ("to", _Mailbox),
        ("subject", _Text),
        ("message-id", _Unfolded),
        ("list-unsubscribe", _Unfolded),
    ):
        headers.map_to_type(name, cast("type[BaseHeader]", kind))  # it is mixed with that one
    return headers


# Seven bits everywhere: what the mail server and those after it can take need not be known.
POLICY: Final = cast("EmailPolicy", policy.SMTP.clone(header_factory=_registry(), cte_type="7bit"))
"""For a message as it is written."""


def _take_literally(value: str, kwds: dict[str, Any]) -> None:
    """The standard library would decode what looks like an encoded word, and take a line break out of it."""
    kwds["parse_tree"], kwds["decoded"] = None, value


def _name(header: object) -> str:
    return str(cast("BaseHeader", header).name)


def _is_plain(text: str, line: str) -> bool:
    """Whether every reader finds the text itself in a line that has it as it is."""
    one_line = text.isascii() and text.isprintable() and len(line) <= _LONGEST_LINE
    return one_line and "=?" not in text and text == " ".join(text.split())


def _encoded(name: str, text: str) -> str:
    """The header with the text in encoded words, one a line, each of whole characters; readers join them."""
    lines, part = [f"{name}: "], b""
    for character in text:
        one = character.encode("utf-8", "replace")
        if len(lines[-1]) + _AROUND_A_WORD + _length_in_base64(len(part) + len(one)) > _LINE:
            lines[-1] += _encoded_word(part)
            lines.append(" ")
            part = b""
        part += one
    lines[-1] += _encoded_word(part)
    return "\r\n".join(lines)


def _length_in_base64(size: int) -> int:
    return -(-size // 3) * 4


def _encoded_word(part: bytes) -> str:
    return f"=?utf-8?b?{b64encode(part).decode()}?="
