"""What a browser is sent: the payload, and its encryption for one subscription (RFC 8291)."""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final, Self

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from mesh.clock import to_rfc3339
from notify_service.domain.device import WebPushKeys
from notify_service.domain.push import Push

_RECORD_SIZE: Final = 4096
"""One record, in a message as long as every push service takes (RFC 8030, 7.2; RFC 8291, 4)."""
MAX_PAYLOAD: Final = _RECORD_SIZE - 86 - 1 - 16
"""Bytes of a payload: the header, a delimiter and the tag of the encryption take the rest."""
_CURVE: Final = ec.SECP256R1()
_AUTH_BYTES: Final = 16
_TOPIC_BYTES: Final = 24
"""32 characters in base64url, the most that a topic may have."""


class _Payload(msgspec.Struct, rename="camel", omit_defaults=True):
    """The JSON that the service worker reads: see docs/notifications.md. Fields may be added."""

    type: str
    chat_id: str
    badge: int
    delivery_id: str = ""
    title: str = ""
    body: str = ""
    message_id: str = ""
    sender_id: str = ""
    count: int = 0
    sent_at: str = ""


def payload(push: Push, title: str, body: str) -> bytes:
    """The payload with this title and body in place of the push's own."""
    return msgspec.json.encode(
        _Payload(
            type=push.kind.value,
            chat_id=push.chat_id,
            badge=push.badge,
            delivery_id=push.delivery_id,
            title=title,
            body=body,
            message_id=push.message_id,
            sender_id=push.sender_id,
            count=push.count,
            sent_at=to_rfc3339(push.at_ms) if push.at_ms else "",
        )
    )


@dataclass(frozen=True, slots=True)
class Subscription:
    """Whom a message is encrypted for."""

    public_key: ec.EllipticCurvePublicKey
    auth: bytes = field(repr=False)

    @classmethod
    def of(cls, keys: WebPushKeys) -> Self:
        """Decodes the keys.

        Raises:
            ValueError: one is not base64url, of a wrong length, or not on the curve.
        """
        auth = _decode(keys.auth)
        if len(auth) != _AUTH_BYTES:
            raise ValueError(f"auth: must have {_AUTH_BYTES} bytes, has {len(auth)}")
        return cls(ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, _decode(keys.p256dh)), auth)

    def encrypt(self, plain: bytes) -> bytes:
        """The body of a request in the content encoding `aes128gcm`, readable by the browser alone.

        Each message has a key pair and a salt of its own. At most `MAX_PAYLOAD` bytes fit.
        """
        encrypted: bytes = http_ece.encrypt(
            plain,
            private_key=ec.generate_private_key(_CURVE),
            dh=self.public_key,
            auth_secret=self.auth,
            rs=_RECORD_SIZE,
            version="aes128gcm",
        )
        return encrypted

    def topic(self, chat_id: str) -> str:
        """By which the push service replaces what it still holds for this chat (RFC 8030, 5.4).

        It learns nothing of the chat: without the subscription's secret nobody can tell which chat it is,
        nor that two users are in the same one.
        """
        digest = hashlib.sha256(self.auth + chat_id.encode()).digest()
        return urlsafe_b64encode(digest[:_TOPIC_BYTES]).decode()


def _decode(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("is not base64url") from error
