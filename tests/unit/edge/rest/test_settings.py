"""Settings of the HTTP API."""

import pytest
from pydantic import SecretStr, ValidationError

from edge.rest import OriginPolicy, RestSettings

SECRET = SecretStr("a secret of the tests, 32 bytes or more")


@pytest.mark.parametrize(
    "origins",
    ["", "*", "https://a.example, http://localhost:3000", "http://[::1]:80", "capacitor://localhost"],
)
def test_origins(origins: str) -> None:
    settings = RestSettings(service_secret=SECRET, edge_cors_origins=origins)  # type: ignore[arg-type] # as text
    assert ", ".join(settings.edge_cors_origins) == origins


@pytest.mark.parametrize(
    "origin",
    [
        "a.example",
        "https://a.example/",
        "https://A.example",
        "https://",
        "null",
        "https://a/b",
        "https://u@a",
    ],
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError, match="is not an origin"):
        RestSettings(service_secret=SECRET, edge_cors_origins=(origin,))


def test_no_page_is_allowed_by_default() -> None:
    policy = OriginPolicy.of(RestSettings(service_secret=SECRET))
    assert not policy.allows("http://localhost:3000")
    assert not policy.allows("null")


def test_localhost_in_development() -> None:
    policy = OriginPolicy.of(RestSettings(service_secret=SECRET, env="development"))
    assert policy.allows("http://localhost:3000")
    assert not policy.allows("https://localhost.example")


APP = OriginPolicy(frozenset({"https://app.example", "capacitor://localhost"}))


@pytest.mark.parametrize(
    ("origin", "host", "secure", "allowed"),
    [
        (None, "chat.example", False, True),
        ("https://app.example", "chat.example", False, True),
        ("capacitor://localhost", "chat.example", True, True),
        ("https://chat.example", "chat.example", True, True),
        ("https://chat.example", "chat.example:443", True, True),
        ("https://chat.example:443", "chat.example", True, True),
        ("https://chat.example:8443", "chat.example:8443", True, True),
        ("https://Chat.Example", "CHAT.example", True, True),
        ("https://chat.example", "chat.example", False, True),
        ("http://chat.example", "chat.example:80", False, True),
        ("http://[::1]:8080", "[::1]:8080", False, True),
        ("http://chat.example", "chat.example", True, False),
        ("https://chat.example:8443", "chat.example", True, False),
        ("https://evil.example", "chat.example", True, False),
        ("https://chat.example.evil.example", "chat.example", True, False),
        ("https://chat.example@evil.example", "chat.example", True, False),
        ("https://chat.example,https://evil.example", "chat.example", True, False),
        ("wss://chat.example", "chat.example", True, False),
        ("null", "chat.example", False, False),
        ("", "chat.example", False, False),
        ("", "", False, False),
        ("http://localhost:3000", "chat.example", False, False),
        ("https://", "", True, False),
    ],
)
def test_whose_pages_may_open_a_websocket(
    origin: str | None, host: str, *, secure: bool, allowed: bool
) -> None:
    assert APP.allows_socket(origin, host, secure=secure) is allowed


def test_any_page_when_asked_for() -> None:
    policy = OriginPolicy.of(RestSettings(service_secret=SECRET, edge_cors_origins=("*",)))
    assert policy.allows("https://anything.example")
