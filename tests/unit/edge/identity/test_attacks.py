"""Known attacks on JSON Web Tokens (RFC 8725), as one table. What each would win is in its id."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from edge.identity.keys import FixedKey, Key, public_key
from edge.identity.verifier import JwtVerifier, TokenRules
from mesh.errors import Unauthenticated
from tests.unit.edge.identity.conftest import SECRET, Keyring, claims, pem_of, signed

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = int(time.time())


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def segment(value: object) -> str:
    return encoded(value if isinstance(value, bytes) else json.dumps(value).encode())


def by_hand(header: object, payload: object, secret: bytes = SECRET.encode()) -> str:
    """Rightly signed with HS256, whatever the header says; objects become JSON, bytes stay."""
    signing = f"{segment(header)}.{segment(payload)}"
    return f"{signing}.{encoded(hmac.digest(secret, signing.encode(), hashlib.sha256))}"


def with_header(**header: object) -> str:
    return by_hand({"alg": "HS256", "typ": "JWT", **header}, claims())


def with_payload(payload: str) -> str:
    return by_hand({"alg": "HS256", "typ": "JWT"}, payload.encode())


async def code_of(verifier: JwtVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(token)
    return refusal.value.code


DEEP = b"[" * 5900
DEEP_VALUE = b'{"alg":' + DEEP

AGAINST_A_SECRET = {
    "no signature, and the header says so": f"{segment({'alg': 'none'})}.{segment(claims())}.",
    "no signature, and the header lies": f"{segment({'alg': 'HS256'})}.{segment(claims())}.",
    "no algorithm named": by_hand({"typ": "JWT"}, claims()),
    "the algorithm is a list": by_hand({"alg": ["HS256"]}, claims()),
    "the algorithm is null": by_hand({"alg": None}, claims()),
    "the algorithm in lower case": by_hand({"alg": "hs256"}, claims()),
    "a stronger algorithm, not agreed on": by_hand({"alg": "HS512"}, claims()),
    "an empty secret": by_hand({"alg": "HS256"}, claims(), b""),
    "an extension that must be understood": with_header(crit=["exp"], exp=NOW),
    "an extension of ours that nobody knows": with_header(crit=["parley"], parley=1),
    "extensions that are no list": with_header(crit="exp"),
    "an empty list of extensions": with_header(crit=[]),
    "a payload that is not encoded": with_header(crit=["b64"], b64=False),
    "a token inside the token": by_hand({"alg": "HS256", "cty": "JWT"}, signed().encode()),
    "an encrypted token's five parts": "a.b.c.d.e",
    "a JSON serialization": json.dumps({"payload": segment(claims()), "signatures": []}),
    "a header nested beyond every stack": f"{segment(DEEP)}.{segment(claims())}.x",
    "a header's value nested beyond every stack": f"{segment(DEEP_VALUE)}.{segment(claims())}.x",
    "a payload nested beyond every stack": by_hand({"alg": "HS256"}, b'{"sub":' + DEEP),
    "a header that is a number of 5,000 digits": f"{segment(b'7' * 5000)}.{segment(claims())}.x",
    "a header that is not UTF-8": by_hand(b'{"alg":"HS256","kid":"\xff"}', claims()),
    "a header that is a list": by_hand(["HS256"], claims()),
    "a logout token of the provider": with_header(typ="logout+jwt"),
    "a security event of the provider": with_header(typ="secevent+jwt"),
    "a proof of possession": with_header(typ="dpop+jwt"),
    "a type that is no text": with_header(typ=7),
    "an expiry of infinity": with_payload('{"sub":"ada","exp":Infinity}'),
    "an expiry of 1e999": with_payload('{"sub":"ada","exp":1e999}'),
    "an expiry that is not a number": with_payload('{"sub":"ada","exp":NaN}'),
    "an expiry of null": with_payload('{"sub":"ada","exp":null}'),
    "an expiry in a list": with_payload('{"sub":"ada","exp":[99999999999]}'),
    "an expiry in text": with_payload('{"sub":"ada","exp":"99999999999"}'),
    "an expiry of 5,000 digits": with_payload('{"sub":"ada","exp":' + "9" * 5000 + "}"),
    "issued at minus infinity": with_payload('{"sub":"ada","exp":99999999999,"iat":-Infinity}'),
    "issued at infinity": with_payload('{"sub":"ada","exp":99999999999,"iat":Infinity}'),
    "issued at no number": with_payload('{"sub":"ada","exp":99999999999,"iat":NaN}'),
    "issued in text": with_payload('{"sub":"ada","exp":99999999999,"iat":"1"}'),
    "not before no number": with_payload('{"sub":"ada","exp":99999999999,"nbf":NaN}'),
    "not before infinity": with_payload('{"sub":"ada","exp":99999999999,"nbf":Infinity}'),
    "not before in a list": with_payload('{"sub":"ada","exp":99999999999,"nbf":[1]}'),
}


@pytest.mark.parametrize("token", AGAINST_A_SECRET.values(), ids=AGAINST_A_SECRET.keys())
async def test_attacks_on_a_secret(verifier: JwtVerifier, token: str) -> None:
    assert len(token) <= TokenRules().max_bytes, "refused for what it is, not for its size"
    assert await code_of(verifier, token) == "INVALID_TOKEN"


@pytest.mark.parametrize("expiry", ["-1", "-99999999999", "0", "1.5", "-1e300"])
async def test_times_long_ago_are_over(verifier: JwtVerifier, expiry: str) -> None:
    assert await code_of(verifier, with_payload('{"sub":"ada","exp":' + expiry + "}")) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_types_that_users_come_with(verifier: JwtVerifier, typ: str | None) -> None:
    header = {"alg": "HS256"} if typ is None else {"alg": "HS256", "typ": typ}
    assert (await verifier.verify(by_hand(header, claims()))).user_id == "ada"


@pytest.mark.parametrize("issued", [-5, -0.5, -1e308, -(10**400), 0])
async def test_issued_before_1970_is_issued_long_ago(verifier: JwtVerifier, issued: float) -> None:
    assert (await verifier.verify(signed(iat=issued))).issued_at_ms == 0


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("named", ["HS256", "HS384", "HS512"])
async def test_a_public_key_used_as_a_secret(
    public_verifier: Callable[[str], JwtVerifier], keyring: Keyring, algorithm: str, named: str
) -> None:
    digest = getattr(hashlib, f"sha{named[2:]}")
    signing = f"{segment({'alg': named, 'typ': 'JWT'})}.{segment(claims())}"
    pem = pem_of(keyring.of(algorithm))
    for secret in (pem, pem.strip(), pem.replace(b"\n", b"\r\n")):
        token = f"{signing}.{encoded(hmac.digest(secret, signing.encode(), digest))}"
        assert await code_of(public_verifier(algorithm), token) == "INVALID_TOKEN"


async def test_a_key_that_the_token_brings_along(keyring: Keyring) -> None:
    mine = rsa.generate_private_key(65537, 2048)
    verifier = JwtVerifier(FixedKey(public_key(keyring.rs256.public_key())), TokenRules())
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key()))
    for header in (
        {"jwk": jwk},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/chain"},
        {"x5c": [encoded(pem_of(mine))]},
        {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"},
    ):
        token = jwt.encode(claims(), mine, algorithm="RS256", headers=header)
        assert await code_of(verifier, token) == "INVALID_TOKEN"


async def test_an_algorithm_of_the_kind_but_not_of_the_key(keyring: Keyring) -> None:
    narrow = JwtVerifier(FixedKey(Key(keyring.rs256.public_key(), ("RS256",))), TokenRules())
    assert await code_of(narrow, signed(keyring.rs256, "PS256")) == "INVALID_TOKEN"
    assert (await narrow.verify(signed(keyring.rs256, "RS256"))).user_id == "ada"


async def test_an_empty_signature_of_a_curve(keyring: Keyring) -> None:
    # CVE-2022-21449: r = s = 0 fits every message in a library that forgets to look.
    verifier = JwtVerifier(FixedKey(public_key(keyring.es256.public_key())), TokenRules())
    signing = f"{segment({'alg': 'ES256'})}.{segment(claims())}"
    for signature in (bytes(64), b"", bytes(63), b"\xff" * 64):
        assert await code_of(verifier, f"{signing}.{encoded(signature)}") == "INVALID_TOKEN"
