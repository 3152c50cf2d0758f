"""Which addresses devices may have, and how each is spelled when it is stored."""

from __future__ import annotations

import base64
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.errors import InvalidArgument
from notify_service.domain.address import normal_address, normal_keys, require_url
from notify_service.domain.device import DeviceKind, WebPushKeys

AUTH = base64.urlsafe_b64encode(bytes(range(16))).decode()


def point(curve: SECP256R1 | SECP384R1, form: PublicFormat = PublicFormat.UncompressedPoint) -> bytes:
    return generate_private_key(curve).public_key().public_bytes(Encoding.X962, form)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


@pytest.mark.parametrize(
    "url",
    [
        "https://push.example/send/abc:DEF-_~?x=%20",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
        "https://fcm.googleapis.com/fcm/send/c1:APA91b",
        "HTTPS://push.example",
        "https://push.example:8443/",
        "https://push.example./",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]/x",
        "https://xn--mnchen-3ya.de/",
    ],
)
def test_urls_on_the_public_internet(url: str) -> None:
    require_url("address", url, allow_loopback=False)
    assert normal_address(DeviceKind.WEBHOOK, url, allow_loopback=False) == url


@pytest.mark.parametrize(
    ("url", "notified"),
    [
        ("http://push.example/", "https"),
        ("ftp://push.example/", "https"),
        ("//push.example/", "https"),
        ("push.example", "no host"),
        ("https://", "no host"),
        ("https:///x", "no host"),
        ("https://./", "no host"),
        ("https://a..b/", "no host"),
        ("https://user@push.example/", "password"),
        ("https://push.example@10.0.0.1/", "password"),
        ("https://push.example\\@10.0.0.1/", "URL"),
        ("https://push.example/#part", "fragment"),
        ("https://push.example:0/", "port 0"),
        ("https://push.example:65536/", "URL"),
        ("https://push.example:x/", "URL"),
        ("https://[::1", "URL"),
        ("https://push.example/ä", "ASCII"),
        ("https://push.example/a b", "ASCII"),
        ("https://push.example/\r\nHost: x", "ASCII"),
        ("https://push.example/\t", "ASCII"),
        ("https://\u3002push.example/", "ASCII"),
        ("https://127.0.0.1/", "this machine"),
        ("https://127.8.9.1:8080/", "this machine"),
        ("https://[::1]/", "this machine"),
        ("https://localhost/", "this machine"),
        ("https://LOCALHOST./", "this machine"),
        ("https://a.localhost/", "this machine"),
        ("http://127.0.0.1/", "this machine"),
        ("https://10.1.2.3/", "public internet"),
        ("https://172.16.0.1/", "public internet"),
        ("https://192.168.1.1/", "public internet"),
        ("https://169.254.169.254/latest/meta-data", "public internet"),
        ("https://100.64.0.1/", "public internet"),
        ("https://0.0.0.0/", "public internet"),
        ("https://255.255.255.255/", "public internet"),
        ("https://[::]/", "public internet"),
        ("https://[::ffff:127.0.0.1]/", "public internet"),
        ("https://[::ffff:8.8.8.8]/", "public internet"),
        ("https://[64:ff9b::7f00:1]/", "public internet"),
        ("https://[2002:7f00:1::]/", "public internet"),
        ("https://[fd00::1]/", "public internet"),
        ("https://[fe80::1%25eth0]/", "public internet"),
        ("https://2130706433/", "no host"),
        ("https://0x7f.0.0.1/", "no host"),
        ("https://0x7f000001/", "no host"),
        ("https://0177.0.0.1/", "no host"),
        ("https://127.1/", "no host"),
        ("https://10.0.0.1./", "public internet"),
    ],
)
def test_urls_that_lead_elsewhere(url: str, notified: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^address: .*{notified}"):
        require_url("address", url, allow_loopback=False)
    with pytest.raises(InvalidArgument):
        normal_address(DeviceKind.WEB_PUSH, url, allow_loopback=False)


def test_development_may_reach_this_machine_and_nothing_else_that_is_private() -> None:
    for url in ("http://127.0.0.1:8080/x", "https://localhost:1/", "http://[::1]:8080/", "http://localhost"):
        require_url("address", url, allow_loopback=True)
    for url in ("http://push.example/", "https://10.0.0.1/", "http://10.0.0.1/", "ftp://localhost/"):
        with pytest.raises(InvalidArgument):
            require_url("address", url, allow_loopback=True)


@pytest.mark.parametrize(
    ("kind", "address", "stored"),
    [
        (DeviceKind.FCM, "cX-y_z:APA91bH.e", "cX-y_z:APA91bH.e"),
        (DeviceKind.APNS, "AB" * 32, "ab" * 32),
        (DeviceKind.APNS, "0f" * 100, "0f" * 100),
        (DeviceKind.EMAIL, "Ada.Lovelace+chat@Example.COM", "Ada.Lovelace+chat@example.com"),
        (DeviceKind.EMAIL, "ada@münchen.de", "ada@xn--mnchen-3ya.de"),
        (DeviceKind.EMAIL, "ada@straße.de", "ada@xn--strae-oqa.de"),
        (DeviceKind.EMAIL, "ada@mail", "ada@mail"),
        (DeviceKind.LOG, "whatever", "whatever"),
    ],
)
def test_addresses_are_stored_in_one_spelling(kind: DeviceKind, address: str, stored: str) -> None:
    assert normal_address(kind, address, allow_loopback=False) == stored


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (DeviceKind.FCM, ""),
        (DeviceKind.FCM, "a" * 4097),
        (DeviceKind.FCM, "a b"),
        (DeviceKind.FCM, "a/../b"),
        (DeviceKind.FCM, "ä"),
        (DeviceKind.FCM, "a\n"),
        (DeviceKind.APNS, "g" * 64),
        (DeviceKind.APNS, "a" * 63),
        (DeviceKind.APNS, "a" * 30),
        (DeviceKind.APNS, "a" * 402),
        (DeviceKind.APNS, "\u0660" * 64),
        (DeviceKind.APNS, "ab" * 31 + "/."),
        (DeviceKind.EMAIL, "ada"),
        (DeviceKind.EMAIL, "@example.com"),
        (DeviceKind.EMAIL, "ada@"),
        (DeviceKind.EMAIL, "ada@eve@example.com"),
        (DeviceKind.EMAIL, "ada@example.com\nBcc: eve@example.com"),
        (DeviceKind.EMAIL, "ada\r\n@example.com"),
        (DeviceKind.EMAIL, "Ada <ada@example.com>"),
        (DeviceKind.EMAIL, "ada@example.com, eve@example.com"),
        (DeviceKind.EMAIL, '"a b"@example.com'),
        (DeviceKind.EMAIL, "ä@example.com"),
        (DeviceKind.EMAIL, ".ada@example.com"),
        (DeviceKind.EMAIL, "a..b@example.com"),
        (DeviceKind.EMAIL, "ada@[127.0.0.1]"),
        (DeviceKind.EMAIL, "ada@127.0.0.1"),
        (DeviceKind.EMAIL, "ada@example..com"),
        (DeviceKind.EMAIL, "ada@exa mple.com"),
        (DeviceKind.EMAIL, "a" * 65 + "@example.com"),
        (DeviceKind.EMAIL, "a@" + "b." * 126 + "com"),
        (DeviceKind.EMAIL, "a@" + "b" * 64 + ".com"),
        (DeviceKind.LOG, ""),
    ],
)
def test_what_is_no_address_of_its_kind(kind: DeviceKind, address: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^address: "):
        normal_address(kind, address, allow_loopback=False)


def test_keys_are_stored_without_padding() -> None:
    public = point(SECP256R1())
    stored = normal_keys(WebPushKeys(p256dh=encoded(public), auth=AUTH))
    assert stored == WebPushKeys(encoded(public).rstrip("="), AUTH.rstrip("="))
    assert normal_keys(stored) == stored


@pytest.mark.parametrize(
    ("p256dh", "notified"),
    [
        ("", "65 bytes, has 0"),
        (encoded(bytes(64)), "65 bytes, has 64"),
        (encoded(point(SECP384R1())), "65 bytes, has 97"),
        (encoded(point(SECP256R1(), PublicFormat.CompressedPoint)), "65 bytes, has 33"),
        (encoded(bytes(65)), "point"),
        (encoded(b"\x04" + bytes(64)), "point"),
        (encoded(b"\x04" + b"\xff" * 64), "point"),
        (encoded(b"\x02" + point(SECP256R1())[1:]), "point"),
        ("ä", "base64url"),
        ("a", "base64url"),
        ("a b!", "base64url"),
    ],
    ids=itertools.count(),  # some of the keys are made up anew in each process
)
def test_what_is_no_public_key(p256dh: str, notified: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^web_push_keys\.p256dh: .*{notified}"):
        normal_keys(WebPushKeys(p256dh=p256dh, auth=AUTH))


@pytest.mark.parametrize("auth", ["", encoded(bytes(15)), encoded(bytes(17)), "%%%"])
def test_what_is_no_authentication_secret(auth: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^web_push_keys\.auth: "):
        normal_keys(WebPushKeys(p256dh=encoded(point(SECP256R1())), auth=auth))
