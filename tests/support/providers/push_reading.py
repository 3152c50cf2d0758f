"""Reading what push services get: the rules of RFC 8188, 8291 and 8292 on the bare primitives.

They are written down here a second time so that no mistake of the sender's libraries is shared.
"""

from __future__ import annotations

import json
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVE = ec.SECP256R1()
_DAY = 86_400


def decrypt(body: bytes, private_key: ec.EllipticCurvePrivateKey, secret: bytes) -> bytes:
    """Reads a body in the encoding aes128gcm (RFC 8188), with the key of RFC 8291, section 3.4.

    Raises:
        ValueError: it cannot be read.
    """
    salt, (record_size, key_length) = body[:16], struct.unpack_from("!LB", body, 16)
    sender_point, record = body[21 : 21 + key_length], body[21 + key_length :]
    if key_length != 65 or not 17 < len(record) <= record_size:
        raise ValueError("not one record with a key of 65 bytes")
    sender = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, sender_point)
    shared = private_key.exchange(ec.ECDH(), sender)
    receiver_point = point(private_key.public_key())
    info = b"WebPush: info\0" + receiver_point + sender_point
    key_material = _hmac(_hmac(secret, shared), info + b"\1")
    pseudo_random = _hmac(salt, key_material)
    key = _hmac(pseudo_random, b"Content-Encoding: aes128gcm\0\1")[:16]
    nonce = _hmac(pseudo_random, b"Content-Encoding: nonce\0\1")[:12]
    try:
        padded = AESGCM(key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise ValueError("not encrypted for this subscription") from error
    plain, delimiter, padding = padded.rpartition(b"\2")
    if not delimiter or padding.strip(b"\0"):
        raise ValueError("the last record does not end with its delimiter")
    return plain


def check_vapid(authorization: str, origin: str, now_s: float) -> tuple[dict[str, Any], str]:
    """The claims and the key of a VAPID header (RFC 8292).

    Raises:
        ValueError: it breaks a rule of the RFC.
    """
    scheme, _, parameters = authorization.partition(" ")
    fields = dict(part.strip().split("=", 1) for part in parameters.split(",") if "=" in part)
    if scheme != "vapid" or set(fields) != {"t", "k"}:
        raise ValueError("Authorization is not of the scheme vapid with t and k")
    signed, _, signature = fields["t"].rpartition(".")
    raw_header, _, raw_claims = signed.partition(".")
    header, claims = json.loads(decode(raw_header)), json.loads(decode(raw_claims))
    if header.get("alg") != "ES256":
        raise ValueError("the token is not signed with ES256")
    key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, decode(fields["k"]))
    r, s = (int.from_bytes(half) for half in (decode(signature)[:32], decode(signature)[32:]))
    try:
        key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("the token's signature is wrong") from error
    if claims.get("aud") != origin:
        raise ValueError(f"the token is for {claims.get('aud')}, not for {origin}")
    if not now_s < claims.get("exp", 0) <= now_s + _DAY:
        raise ValueError("the token has expired, or does so in more than a day")
    return claims, fields["k"]


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _hmac(key: bytes, data: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()
