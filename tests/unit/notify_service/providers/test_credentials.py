from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from pydantic import SecretStr, ValidationError

from notify_service.providers.credentials import read_service_account, read_signing_key
from notify_service.settings import NotifySettings

if TYPE_CHECKING:
    from pathlib import Path

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NO_PASSWORD = NoEncryption()


def pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, encryption: KeySerializationEncryption = NO_PASSWORD
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


ACCOUNT = {
    "type": "service_account",
    "project_id": "project",
    "private_key_id": "key",
    "private_key": pem(RSA_KEY).decode(),
    "client_email": "pusher@project.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def test_a_service_account_asks_for_access(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(ACCOUNT))
    account = read_service_account(path)
    assertion = account.assertion("the scope", 1_700_000_000)

    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "kid": "key", "typ": "JWT"}
    assert jwt.decode(
        assertion,
        RSA_KEY.public_key(),
        algorithms=["RS256"],
        audience=account.token_url,
        options={"verify_exp": False},
    ) == {
        "iss": ACCOUNT["client_email"],
        "aud": ACCOUNT["token_uri"],
        "scope": "the scope",
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    assert "PRIVATE" not in repr(account)
    assert "signer" not in repr(account)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        json.dumps(ACCOUNT | {"private_key": "MII"}),
        json.dumps(ACCOUNT | {"private_key": None}),
        json.dumps(ACCOUNT | {"token_uri": "nowhere"}),
        json.dumps(ACCOUNT | {"token_uri": "http://oauth2.example/token"}),
        json.dumps({name: value for name, value in ACCOUNT.items() if name != "project_id"}),
        json.dumps(ACCOUNT | {"private_key": pem(ec.generate_private_key(ec.SECP256R1())).decode()}),
        "\xff",
    ],
)
def test_what_is_no_service_account_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "account.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(ValueError, match=r"is not the JSON file|does not begin with https") as raised:
        read_service_account(path)
    assert "MII" not in str(raised.value)


def test_a_signing_key_is_read(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.p8"
    path.write_bytes(pem(key))

    assert read_signing_key(path).private_numbers() == key.private_numbers()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n", "not a private key"),
        (pem(RSA_KEY), "P-256"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")), "without a password"),
    ],
)
def test_what_is_no_signing_key_is_an_error(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "key.p8"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=problem):
        read_signing_key(path)


def settings(**fields: object) -> NotifySettings:
    return NotifySettings.model_validate(
        {
            "service_secret": SecretStr("s" * 32),
            "amqp_url": SecretStr("amqp://127.0.0.1/"),
            "mongo_url": SecretStr("mongodb://127.0.0.1/"),
            **fields,
        }
    )


@pytest.mark.parametrize("field", ["notify_fcm_credentials_file", "notify_apns_key_file"])
def test_a_file_that_is_missing_is_told_at_start(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValidationError, match="cannot be read: No such file"):
        settings(**{field: tmp_path / "missing"})


@pytest.mark.parametrize("field", ["notify_fcm_url", "notify_apns_url"])
def test_providers_are_spoken_to_over_tls_alone(field: str) -> None:
    with pytest.raises(ValidationError, match="must begin with https"):
        settings(**{field: "http://127.0.0.1:8080"})


def test_half_of_the_settings_for_apns_are_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "key.p8"
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))

    with pytest.raises(ValidationError, match="PARLEY_NOTIFY_APNS_KEY_ID, PARLEY_NOTIFY_APNS_TEAM_ID"):
        settings(notify_apns_key_file=path, notify_apns_topic="com.example")
