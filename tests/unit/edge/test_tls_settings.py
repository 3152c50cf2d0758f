"""The certificate of the edge: whole and usable, or no edge starts."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from edge.settings import EdgeSettings
from tests.support.authority import Authority

SECRET = "x" * 40


def settings(**fields: object) -> EdgeSettings:
    return EdgeSettings.model_validate(
        {"service_secret": SECRET, "jwt_secret": SECRET + "y", "redis_url": "redis://127.0.0.1", **fields}
    )


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A certificate and its key in one file, which both settings may name."""
    return Authority(tmp_path).issue("chat.example")


def test_off_unless_asked_for() -> None:
    assert settings().edge_certificate is None


def test_a_certificate_and_its_key(chain: Path) -> None:
    certificate = settings(edge_tls_cert_file=chain, edge_tls_key_file=chain).edge_certificate
    assert certificate is not None
    assert certificate.read().context.minimum_version.name == "TLSv1_2"


def test_one_without_the_other(chain: Path) -> None:
    for field in ("edge_tls_cert_file", "edge_tls_key_file"):
        with pytest.raises(ValidationError, match="goes together with PARLEY_EDGE_TLS_CERT_FILE"):
            settings(**{field: chain})


def test_what_is_no_certificate_with_its_key(chain: Path, tmp_path: Path) -> None:
    other = Authority(tmp_path).issue("other.example")
    empty = tmp_path / "empty"
    empty.write_text("")
    locked = tmp_path / "locked"
    key = serialization.load_pem_private_key(chain.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for wrong in (other, empty, locked, tmp_path / "missing", tmp_path):
        with pytest.raises(ValidationError) as problem:
            settings(edge_tls_cert_file=chain, edge_tls_key_file=wrong)
        assert str(wrong) in str(problem.value)
        assert "PRIVATE KEY" not in str(problem.value)
