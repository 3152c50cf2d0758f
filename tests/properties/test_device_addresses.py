"""Any text as an address ends in a refusal or in an address that cannot lead where it must not."""

from __future__ import annotations

import contextlib
import ipaddress
from urllib.parse import quote

import httpx
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from notify_service.domain.address import normal_address, normal_keys, require_url
from notify_service.domain.device import DeviceKind, WebPushKeys
from notify_service.domain.network import is_public

_NUMBERS = st.integers(0, 2**32 - 1)
_HOSTS = st.one_of(
    st.text(max_size=20),
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.ip_addresses(v=4).map(lambda address: f"[::ffff:{address}]"),
    _NUMBERS.map(str),
    _NUMBERS.map(hex),
    _NUMBERS.map(lambda number: ".".join(oct(byte).replace("o", "") for byte in number.to_bytes(4))),
    st.from_regex(r"[a-z0-9.@:\\/\[\]%-]{1,20}", fullmatch=True),
)
_URLS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["https", "http", "HTTPS"]),
    _HOSTS,
    st.sampled_from(["", "/", ":1/x?y", "@b"]),
)


@given(st.one_of(_URLS, st.text(max_size=60)))
def test_a_url_that_is_taken_leads_to_a_name_or_a_public_address(url: str) -> None:
    with contextlib.suppress(InvalidArgument):
        require_url("address", url, allow_loopback=False)
        # As the client that will connect reads it, which is another parser.
        parsed = httpx.URL(url)
        assert parsed.scheme == "https"
        assert not parsed.userinfo
        assert parsed.host.isascii()
        with contextlib.suppress(ValueError):
            assert is_public(ipaddress.ip_address(parsed.host))
        assert not parsed.host.rpartition(".")[2].isdigit() or is_public(ipaddress.ip_address(parsed.host))


@given(
    st.sampled_from(DeviceKind),
    st.one_of(st.text(max_size=80), st.emails(), st.emails().map(lambda mail: mail + "\r\nBcc: x@y.z")),
)
def test_what_is_stored_is_stored_the_same_again_and_breaks_no_line(kind: DeviceKind, address: str) -> None:
    with contextlib.suppress(InvalidArgument):
        stored = normal_address(kind, address, allow_loopback=False)
        assert normal_address(kind, stored, allow_loopback=False) == stored
        if kind is not DeviceKind.LOG:
            assert stored.isascii()
            assert stored.isprintable()
            assert " " not in stored
        if kind is DeviceKind.APNS:  # it becomes a part of a path
            assert quote(stored, safe="") == stored


@given(st.text(max_size=100), st.text(max_size=40))
def test_any_texts_as_keys_end_in_keys_or_a_refusal(p256dh: str, auth: str) -> None:
    with contextlib.suppress(InvalidArgument):
        normal_keys(WebPushKeys(p256dh, auth))
