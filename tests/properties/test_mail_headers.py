"""Whatever a header is to say: every reader finds just that in it."""

import email
import email.policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notify_service.email.headers import POLICY

_PRINTED = st.characters(codec="utf-8").filter(str.isprintable)
_CLAUSES = st.sampled_from(
    [
        "Doe, John ",
        "Zoë ",
        "und Söhne, ",
        'a "b" ',
        "\\",
        "=?utf-8?q?x?=",
        "(c) ",
        "<d@e>",
        "  ",
        "😀",
        "e\u0301",
    ]
)
_TEXTS = st.lists(st.text(_PRINTED, max_size=30) | _CLAUSES, max_size=30).map("".join)
# Readers differ in what they make of several spaces in a name.
_NAMES = _TEXTS.map(lambda text: " ".join(text.split()))
_LONG = "Doe, John und Söhne, Gesellschaft für Äpfel " * 4


def _written(**headers: object) -> bytes:
    letter = EmailMessage(policy=POLICY)
    for name, value in headers.items():
        letter[name.replace("_", "-")] = value
    letter.set_content("text", cte="quoted-printable")
    written = letter.as_bytes()
    written.decode("ascii")
    assert max(map(len, written.split(b"\r\n"))) <= 998
    return written


def _read(written: bytes) -> EmailMessage:
    read = email.message_from_bytes(written, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


@pytest.mark.parametrize("header", ["From", "To"])
@given(name=_NAMES)
@example(name="Doe, John " * 9 + "Doe")
@example(name=_LONG.strip())
@example(name='a"b\\c, d' * 12)
@example(name="x" * 300)
def test_a_display_name_of_any_length_stays_one_name(header: str, name: str) -> None:
    written = _written(**{header: Address(name, addr_spec="chat@example.com")})
    [address] = _read(written)[header].addresses
    assert address.addr_spec == "chat@example.com"
    if written.count(b"=?utf-8?b?") <= 1:
        assert address.display_name == name
    else:
        # Where one encoded word follows another in a name, this reader adds a space (RFC 2047, 6.2: none).
        assert "".join(address.display_name.split()) == "".join(name.split())
    # A reader of the older kind: addresses first, then the words of each.
    raw, plain = parseaddr(email.message_from_bytes(written)[header].replace("\r\n", ""))
    assert plain == "chat@example.com"
    assert str(make_header(decode_header(raw))) == name


@given(text=_TEXTS)
@example(text=_LONG.strip())
@example(text="plain words " * 20 + "end")
@example(text="=?utf-8?q?=0D=0ABcc:_eve@example.org?=")
def test_a_subject_says_what_was_meant(text: str) -> None:
    written = _written(Subject=text)
    assert _read(written)["Subject"] == text
    assert set(_read(written).keys()) == {
        "Subject",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    raw = email.message_from_bytes(written)["Subject"].replace("\r\n", "")
    assert str(make_header(decode_header(raw))) == text
    assert all(len(line) <= 76 for line in written.split(b"\r\n") if b"=?" in line)


@given(st.text("abcdefghij0123456789-._~", min_size=1, max_size=600))
def test_links_and_ids_stay_whole(token: str) -> None:
    link, message_id = f"<https://chat.example.com/?token={token}>", f"<{token[:200]}@{'d.' * 100}example>"
    written = _written(List_Unsubscribe=link, Message_ID=message_id)
    assert f"List-Unsubscribe: {link}\r\n".encode() in written
    assert f"Message-ID: {message_id}\r\n".encode() in written


@given(st.from_regex(r"[a-z][a-z0-9.]{0,40}[a-z]@([a-z]{1,20}\.){1,8}example", fullmatch=True))
def test_an_address_alone_stays_whole(address: str) -> None:
    if ".." in address:
        return
    written = _written(To=Address(addr_spec=address))
    assert f"To: {address}\r\n".encode() in written
