"""Keys, tokens and verifiers for the identity tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.identity.keys import FixedKey, Key, public_key
from edge.identity.verifier import JwtVerifier, TokenRules

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "a secret of the tests, 32 bytes or more"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Keyring:
    """One private key per algorithm, made once."""

    rs256: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    es256: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    eddsa: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    def of(self, algorithm: str) -> Private:
        keys: dict[str, Private] = {"RS256": self.rs256, "ES256": self.es256, "EdDSA": self.eddsa}
        return keys[algorithm]


def pem_of(key: Private) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def claims(**changes: object) -> dict[str, Any]:
    """Good claims, for longer than a run of all tests; a change to None leaves one out."""
    now = int(time.time())
    made = {"sub": "ada", "name": "Ada", "iat": now, "exp": now + 86_400, **changes}
    return {name: value for name, value in made.items() if value is not None}


def signed(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **changes: object) -> str:
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring()


@pytest.fixture
def verifier() -> JwtVerifier:
    """Takes HS256 by the tests' secret, any issuer, no audience."""
    return JwtVerifier(FixedKey(Key(SECRET, ("HS256",))), TokenRules())


@pytest.fixture
def public_verifier(keyring: Keyring) -> Callable[[str], JwtVerifier]:
    """Makes a verifier for the public key of an algorithm."""

    def make(algorithm: str) -> JwtVerifier:
        return JwtVerifier(FixedKey(public_key(keyring.of(algorithm).public_key())), TokenRules())

    return make
