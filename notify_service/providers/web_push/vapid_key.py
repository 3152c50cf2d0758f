"""The key that names this deployment to push services (RFC 8292, VAPID). Pure."""

from base64 import urlsafe_b64encode
from functools import cached_property
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from notify_service.providers.signing_key import parse_signing_key


class VapidKey:
    """A private key on P-256. Subscriptions are bound to it: with another key they have to be made anew."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self._private_key = private_key

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """The key in a PEM file, which must not be encrypted.

        Raises:
            ValueError: it is something else.
        """
        return cls(parse_signing_key(pem))

    def to_pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @cached_property
    def public_key(self) -> str:
        """The `applicationServerKey`: an uncompressed point in base64url without padding."""
        point = self._private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return urlsafe_b64encode(point).decode().rstrip("=")

    def authorization(self, audience: str, subject: str, expires_at_s: int) -> str:
        """The value of `Authorization` for one push service.

        Args:
            audience: the origin of the push service.
            subject: whom it may contact, a `mailto:` or `https:` URI; empty: left out, as the RFC allows.
            expires_at_s: Unix seconds, at most 24 h ahead.
        """
        claims: dict[str, str | int] = {"aud": audience, "exp": expires_at_s}
        if subject:
            claims["sub"] = subject
        token = jwt.encode(claims, self._private_key, algorithm="ES256")
        return f"vapid t={token}, k={self.public_key}"
