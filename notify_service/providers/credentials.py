"""The files that prove to Google and Apple who is asking."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from google.auth import jwt
from google.auth.crypt import Signer
from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials

from notify_service.providers.signing_key import parse_signing_key

_LIFETIME_SECONDS: Final = 3600
"""The longest that Google takes, of an assertion and of the access token it buys."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A Google service account."""

    project_id: str
    email: str
    token_url: str
    """Where an assertion is exchanged for an access token."""
    signer: Signer = field(repr=False)

    def assertion(self, scope: str, at_seconds: int) -> str:
        """A signed request for an access token to this scope (RFC 7523, section 2.1), good for an hour.

        Args:
            scope: what the access token is for.
            at_seconds: now, Unix seconds.
        """
        claims = {
            "iss": self.email,
            "aud": self.token_url,
            "scope": scope,
            "iat": at_seconds,
            "exp": at_seconds + _LIFETIME_SECONDS,
        }
        encoded: bytes = jwt.encode(self.signer, claims)  # type: ignore[no-untyped-call]  # published half typed
        return encoded.decode()


def read_service_account(path: Path) -> ServiceAccount:
    """Reads the JSON file that the Google Cloud or Firebase console gives out.

    Raises:
        ValueError: it cannot be read, or is no service account; the text holds nothing of it.
    """
    try:
        info = json.loads(path.read_text())
        credentials = Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
        account = ServiceAccount(
            str(info["project_id"]),
            credentials.service_account_email,
            str(info["token_uri"]),
            credentials.signer,
        )
        account.assertion("", 0)  # a key of another kind is read and cannot sign
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except (GoogleAuthError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError("is not the JSON file of a service account with a project") from error
    if urlsplit(account.token_url).scheme != "https":
        raise ValueError("names a token_uri that does not begin with https://")
    return account


def read_signing_key(path: Path) -> EllipticCurvePrivateKey:
    """Reads a private key on P-256 (PEM): Apple's .p8 files are of that kind.

    Raises:
        ValueError: it cannot be read, or is no such key; the text holds nothing of it.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    return parse_signing_key(pem)
