import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from notify_service.providers.web_push.vapid_key import VapidKey
from notify_service.settings import NotifySettings
from tests.support.providers.push_reading import check_vapid, decode

ORIGIN = "https://push.example"
PKCS8 = (Encoding.PEM, PrivateFormat.PKCS8)
P256 = ec.generate_private_key(ec.SECP256R1())


def test_a_push_service_believes_it() -> None:
    now = int(time.time())
    key = VapidKey.generate()
    header = key.authorization(ORIGIN, "mailto:ops@example.com", now + 3600)
    claims, public_key = check_vapid(header, ORIGIN, now)
    assert claims == {"aud": ORIGIN, "exp": now + 3600, "sub": "mailto:ops@example.com"}
    assert public_key == key.public_key
    assert len(decode(key.public_key)) == 65


def test_the_subject_may_be_left_out() -> None:
    now = int(time.time())
    claims, _ = check_vapid(VapidKey.generate().authorization(ORIGIN, "", now + 60), ORIGIN, now)
    assert "sub" not in claims


def test_a_key_that_was_kept_is_the_same_key() -> None:
    key = VapidKey.generate()
    assert VapidKey.from_pem(key.to_pem()).public_key == key.public_key


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        P256.private_bytes(*PKCS8, BestAvailableEncryption(b"password")),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(*PKCS8, NoEncryption()),
        ed25519.Ed25519PrivateKey.generate().private_bytes(*PKCS8, NoEncryption()),
    ],
)
def test_other_files_are_refused(pem: bytes) -> None:
    with pytest.raises(ValueError, match="is not a "):
        VapidKey.from_pem(pem)


def settings(**fields: object) -> NotifySettings:
    required = {"service_secret": "s" * 32, "amqp_url": "amqp://host/", "mongo_url": "mongodb://host/"}
    return NotifySettings.model_validate(required | fields)


@pytest.mark.parametrize("field", ["notify_vapid_key_file", "notify_ca_file"])
def test_files_that_are_missing_or_wrong_are_told_at_the_start(field: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cannot be read: No such file"):
        settings(**{field: tmp_path / "none.pem"})
    (tmp_path / "wrong.pem").write_text("nonsense")
    with pytest.raises(ValidationError, match="is not a "):
        settings(**{field: tmp_path / "wrong.pem"})


def test_a_key_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(VapidKey.generate().to_pem())
    assert settings(notify_vapid_key_file=tmp_path / "key.pem").notify_vapid_key_file is not None
