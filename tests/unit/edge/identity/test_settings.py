"""Settings of user tokens: one key source, and every problem told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from edge.identity import IdentitySettings
from mesh.settings import EX_CONFIG, load
from tests.unit.edge.identity.conftest import SECRET, Keyring, pem_of

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://id.example/jwks.json"


@pytest.fixture(autouse=True)
def _service_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_SERVICE_SECRET", "of the services alone" * 2)


def problems(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        load(IdentitySettings)
    assert end.value.code == EX_CONFIG
    return capsys.readouterr().err


def test_one_source_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_JWT_JWKS_URL", URL)
    monkeypatch.setenv("PARLEY_JWT_ALGORITHMS", "RS256, ES256")
    settings = load(IdentitySettings)
    assert settings.jwt_jwks_url == URL
    assert settings.jwt_algorithms == ("RS256", "ES256")


def test_no_source(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = problems(monkeypatch, capsys)
    assert "exactly one of PARLEY_JWT_SECRET, PARLEY_JWT_PUBLIC_KEY_FILE, PARLEY_JWT_JWKS_URL" in told


def test_two_sources(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = problems(monkeypatch, capsys, PARLEY_JWT_JWKS_URL=URL, PARLEY_JWT_SECRET=SECRET)
    assert "must be set, not 2" in told


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = problems(
        monkeypatch,
        capsys,
        PARLEY_JWT_SECRET="short-and-secret",
        PARLEY_JWT_ALGORITHMS="RS256,none",
        PARLEY_JWT_LEEWAY_SECONDS="-1",
        PARLEY_JWT_CACHE_SIZE="many",
    )
    assert "PARLEY_JWT_SECRET: must have at least 32 bytes" in told
    assert "PARLEY_JWT_ALGORITHMS: none is not among" in told
    assert "PARLEY_JWT_LEEWAY_SECONDS" in told
    assert "PARLEY_JWT_CACHE_SIZE" in told
    assert "exactly one" not in told, "a wrong source is a source"
    assert "short-and-secret" not in told


def test_the_services_secret_is_not_for_users_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = problems(
        monkeypatch, capsys, PARLEY_SERVICE_SECRET=SECRET, PARLEY_JWT_SECRET=SECRET, PARLEY_JWT_CACHE_SIZE="0"
    )
    assert "PARLEY_JWT_SECRET: is the same as PARLEY_SERVICE_SECRET" in told
    assert "PARLEY_JWT_CACHE_SIZE" in told, "with all other problems"
    assert SECRET not in told
    monkeypatch.setenv("PARLEY_JWT_CACHE_SIZE", "1")
    monkeypatch.setenv("PARLEY_ENV", "development")
    assert load(IdentitySettings).jwt_secret is not None


@pytest.mark.parametrize("host", ["id.example", "10.0.0.1", "localhost.example", "[2001:db8::1]"])
def test_keys_come_over_tls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    url = f"http://user:password@{host}/jwks.json"
    told = problems(monkeypatch, capsys, PARLEY_JWT_JWKS_URL=url, PARLEY_JWT_CACHE_SIZE="0")
    assert "PARLEY_JWT_JWKS_URL: must start with https://" in told
    assert "PARLEY_JWT_CACHE_SIZE" in told, "with all other problems"
    assert "password" not in told
    monkeypatch.setenv("PARLEY_JWT_CACHE_SIZE", "1")
    monkeypatch.setenv("PARLEY_ENV", "development")
    assert load(IdentitySettings).jwt_jwks_url == url


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
def test_keys_may_come_from_this_host(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Where a proxy beside the edge fetches them."""
    monkeypatch.setenv("PARLEY_JWT_JWKS_URL", f"http://{host}/jwks.json")
    assert load(IdentitySettings).jwt_jwks_url == f"http://{host}/jwks.json"


def test_a_secret_allows_no_public_key_algorithm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = problems(monkeypatch, capsys, PARLEY_JWT_SECRET=SECRET, PARLEY_JWT_ALGORITHMS="HS256,RS256")
    assert "RS256 is not among HS256" in told


def test_a_key_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: Keyring) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem_of(keyring.es256))
    monkeypatch.setenv("PARLEY_JWT_PUBLIC_KEY_FILE", str(path))
    assert load(IdentitySettings).jwt_public_key_file == path


@pytest.mark.parametrize(
    ("content", "algorithms", "told"),
    [
        (None, "", "cannot be read"),
        (b"not a key", "", "no public key in PEM form"),
        ("es256", "RS256", "can check ES256 and none of these is allowed"),
    ],
)
def test_a_wrong_key_file_is_a_problem_of_the_settings(
    tmp_path: Path, keyring: Keyring, content: bytes | str | None, algorithms: str, told: str
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else pem_of(keyring.es256))
    with pytest.raises(ValidationError) as refusal:
        IdentitySettings(service_secret=SECRET, jwt_public_key_file=path, jwt_algorithms=algorithms)  # type: ignore[arg-type] # parsed from text, as from the environment
    assert told in str(refusal.value)
