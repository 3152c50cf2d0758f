"""Private keys on P-256, as Web Push (RFC 8292) and Apple sign with. Pure."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def parse_signing_key(pem: bytes) -> EllipticCurvePrivateKey:
    """The key in a PEM file, which must not be encrypted.

    Raises:
        ValueError: it is something else; the text holds nothing of it.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("is not a private key (PEM, without a password)") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("is not a key on the curve P-256")  # noqa: TRY004 - the file is wrong, not the call
    return key
