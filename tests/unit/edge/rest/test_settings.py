"""Settings of the HTTP API."""

import pytest
from pydantic import SecretStr, ValidationError

from edge.rest import OriginPolicy, RestSettings

SECRET = SecretStr("a secret of the tests, 32 bytes or more")


@pytest.mark.parametrize("origins", ["", "*", "https://a.example, http://localhost:3000", "http://[::1]:80"])
def test_origins(origins: str) -> None:
    settings = RestSettings(service_secret=SECRET, edge_cors_origins=origins)  # type: ignore[arg-type] # as text
    assert ", ".join(settings.edge_cors_origins) == origins


@pytest.mark.parametrize(
    "origin",
    ["a.example", "https://a.example/", "https://A.example", "ftp://a.example", "null", "https://a/b"],
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


def test_any_page_when_asked_for() -> None:
    policy = OriginPolicy.of(RestSettings(service_secret=SECRET, edge_cors_origins=("*",)))
    assert policy.allows("https://anything.example")
