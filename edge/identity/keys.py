"""The keys that user tokens are checked with, and which algorithms each kind of key may be used for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

SECRET_ALGORITHMS: Final = ("HS256",)
_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVE_ALGORITHMS: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_ED25519_ALGORITHMS: Final = ("EdDSA",)
PUBLIC_KEY_ALGORITHMS: Final = (
    *_RSA_ALGORITHMS,
    *(name for names in _CURVE_ALGORITHMS.values() for name in names),
    *_ED25519_ALGORITHMS,
)
_MIN_RSA_BITS: Final = 2048  # RFC 7518, section 3.3


@dataclass(frozen=True, slots=True)
class Key:
    """A key and the algorithms it may check, never more than its kind allows.

    The token's header only picks among these: a public key can never serve as an HMAC secret, and ``none`` is
    no algorithm of any key (RFC 8725, sections 2.1 and 3.1).
    """

    material: PublicKey | str = field(repr=False)
    algorithms: tuple[str, ...]


class KeySource(Protocol):
    """Where keys come from."""

    @property
    def generation(self) -> int:
        """Grows whenever a key may have been withdrawn; what was checked before is to be checked again."""
        ...

    async def find(self, kid: str | None) -> Sequence[Key]:
        """The keys that a token with that id, or without any, may be signed with; mostly one, often none.

        May wait for the network, seconds.

        Raises:
            Unavailable: no keys could be fetched yet.
        """
        ...

    async def check(self) -> None:
        """Returns if keys are at hand.

        Raises:
            Unavailable: no keys could be fetched yet.
        """
        ...


class FixedKey:
    """The one key of the settings; a token's ``kid`` says nothing about it."""

    generation: Final = 0

    def __init__(self, key: Key) -> None:
        self._keys = (key,)

    async def find(self, kid: str | None) -> Sequence[Key]:  # noqa: ARG002 -- see the class
        """The key."""
        return self._keys

    async def check(self) -> None:
        """Always at hand."""


def algorithms_for(key: object) -> tuple[str, ...]:
    """The algorithms that a public key can check.

    Raises:
        ValueError: no kind of key that Parley takes; the message says which it takes.
    """
    match key:
        case RSAPublicKey() if key.key_size >= _MIN_RSA_BITS:
            return _RSA_ALGORITHMS
        case RSAPublicKey():
            raise ValueError(f"is an RSA key of less than {_MIN_RSA_BITS} bits")
        case EllipticCurvePublicKey() if key.curve.name in _CURVE_ALGORITHMS:
            return _CURVE_ALGORITHMS[key.curve.name]
        case Ed25519PublicKey():
            return _ED25519_ALGORITHMS
        case _:
            raise ValueError("is not an RSA, P-256, P-384, P-521 or Ed25519 public key")


def public_key(material: object, allowed: Collection[str] = ()) -> Key:
    """A key for what both its kind and ``allowed`` permit; an empty ``allowed`` permits all of the kind.

    Raises:
        ValueError: a kind that Parley does not take, or nothing is left of the algorithms.
    """
    kind = algorithms_for(material)
    algorithms = tuple(name for name in kind if not allowed or name in allowed)
    if not algorithms:
        raise ValueError(f"can check {', '.join(kind)} and none of these is allowed")
    assert isinstance(material, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey)  # noqa: S101 -- for mypy
    return Key(material, algorithms)


def read_public_key(path: Path, allowed: Collection[str] = ()) -> Key:
    """The key of a PEM file (``BEGIN PUBLIC KEY``).

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    try:
        material = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("holds no public key in PEM form (BEGIN PUBLIC KEY)") from error
    return public_key(material, allowed)
