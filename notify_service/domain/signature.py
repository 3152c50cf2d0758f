"""How requests to webhooks are signed: Standard Webhooks, symmetric signatures (`v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

_PREFIX: Final = "whsec_"
_MIN_BYTES: Final = 24
_MAX_BYTES: Final = 64
_NEW_BYTES: Final = 32


class BadSecretError(ValueError):
    """The text is no signing secret; the message never quotes it."""


def new_secret() -> str:
    """A secret of 32 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def check_secret(secret: str) -> None:
    """Raises `BadSecretError` unless it is `whsec_` and 24 to 64 bytes in base64 (RFC 4648, padded)."""
    _key(secret)


def sign(signing_secrets: Sequence[str], webhook_id: str, at_seconds: int, body: bytes) -> dict[str, str]:
    """The headers that make a request one that can be verified.

    Several secrets, while one replaces the other, give several signatures; a receiver needs to know one.

    Raises:
        BadSecretError: one of them is none.
    """
    signed = b"%s.%d." % (webhook_id.encode(), at_seconds) + body
    digests = (hmac.digest(_key(secret), signed, hashlib.sha256) for secret in signing_secrets)
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(at_seconds),
        SIGNATURE_HEADER: " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        raise BadSecretError(f"does not begin with {_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSecretError(f"is not base64 after {_PREFIX}") from error
    if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise BadSecretError(f"must hold {_MIN_BYTES} to {_MAX_BYTES} bytes, holds {len(key)}")
    return key
