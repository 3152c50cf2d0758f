"""What a user token must say, and every way in which one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.identity.keys import FixedKey, Key
from edge.identity.verifier import JwtVerifier, TokenRules
from mesh.errors import Unauthenticated
from tests.unit.edge.identity.conftest import SECRET, Keyring, claims, pem_of, signed

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = FixedKey(Key(SECRET, ("HS256",)))
STRICT = TokenRules(issuer="https://id.example", audience=("parley", "chat"), leeway_seconds=5)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def hmac_token(header: dict[str, Any], payload: bytes, secret: bytes) -> str:
    """Signed by hand: PyJWT itself declines to make some of these."""
    signing = f"{encoded(json.dumps(header).encode())}.{encoded(payload)}"
    return f"{signing}.{encoded(hmac.digest(secret, signing.encode(), hashlib.sha256))}"


async def refused(verifier: JwtVerifier, token: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(token)
    assert len(token) < 40 or token not in refusal.value.message
    return refusal.value


async def test_a_good_token_names_its_user(verifier: JwtVerifier) -> None:
    now = int(time.time())
    identity = await verifier.verify(signed(sub="user/1 ü", name="Ada", exp=now + 60))
    assert (identity.user_id, identity.name, identity.expires_at) == ("user/1 ü", "Ada", now + 60)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_public_keys(
    public_verifier: Callable[[str], JwtVerifier], keyring: Keyring, algorithm: str
) -> None:
    identity = await public_verifier(algorithm).verify(signed(keyring.of(algorithm), algorithm))
    assert identity.user_id == "ada"


async def test_expired_is_told_apart_so_that_clients_get_a_new_one(verifier: JwtVerifier) -> None:
    now = int(time.time())
    assert (await refused(verifier, signed(exp=now - 11))).code == "TOKEN_EXPIRED"
    assert (await verifier.verify(signed(exp=now - 5))).user_id == "ada", "within the leeway of 10 s"


async def test_forged_and_expired_is_forged(verifier: JwtVerifier) -> None:
    token = signed("another secret, which has 32 bytes too", exp=1)
    assert (await refused(verifier, token)).code == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": "soon"}, id="expiry is no number"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": "x" * 129}, id="long subject"),
        pytest.param({"sub": "a\nb"}, id="control character"),
        pytest.param({"sub": "a\u2028b"}, id="line separator"),
        pytest.param({"nbf": int(time.time()) + 3600}, id="not yet"),
        pytest.param({"iat": int(time.time()) + 3600}, id="issued in the future"),
        pytest.param({"aud": "someone-else"}, id="for an audience, though none is set here"),
    ],
)
async def test_refused_claims(verifier: JwtVerifier, changes: dict[str, Any]) -> None:
    assert (await refused(verifier, signed(**changes))).code == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"sub":"ada","exp":1e999}', id="infinite expiry"),
        pytest.param(b'{"sub":"ada","exp":NaN}', id="NaN expiry"),
        pytest.param(rb'{"sub":"\ud800","exp":99999999999}', id="lone surrogate"),
        pytest.param(b'{"sub":["ada"],"exp":99999999999}', id="subject is a list"),
        pytest.param(b'{"sub":7,"exp":99999999999}', id="subject is a number"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"a":' + b"[" * 4000, id="deeply nested"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"", id="empty"),
    ],
)
async def test_rightly_signed_nonsense(verifier: JwtVerifier, payload: bytes) -> None:
    token = hmac_token({"alg": "HS256", "typ": "JWT"}, payload, SECRET.encode())
    assert (await refused(verifier, token)).code == "INVALID_TOKEN"


async def test_an_expiry_beyond_all_calendars_is_cut(verifier: JwtVerifier) -> None:
    assert (await verifier.verify(signed(exp=10**30))).expires_at == 253_402_300_799


@pytest.mark.parametrize("name", [None, 7, "a\x00b", ["Ada"]])
async def test_a_name_that_cannot_be_shown_locks_nobody_out(verifier: JwtVerifier, name: object) -> None:
    assert (await verifier.verify(signed(name=name))).name == ""


async def test_a_long_name_is_cut(verifier: JwtVerifier) -> None:
    assert (await verifier.verify(signed(name="n" * 101))).name == "n" * 100


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        (None, set()),
        ("", set()),
        ("parley.operator", {"parley.operator"}),
        ("openid  parley.operator email", {"openid", "parley.operator", "email"}),
        ("parley.operators", {"parley.operators"}),
        ("openid,parley.operator", {"openid,parley.operator"}),
        ("openid\tparley.operator", {"openid\tparley.operator"}),
        (["parley.operator"], set()),
        ({"parley.operator": True}, set()),
        (7, set()),
    ],
)
async def test_scopes_are_words_between_spaces(
    verifier: JwtVerifier, scope: object, scopes: set[str]
) -> None:
    assert (await verifier.verify(signed(scope=scope))).scopes == scopes


async def test_issuer_and_audience() -> None:
    verifier = JwtVerifier(KEYS, STRICT)
    good: dict[str, Any] = {"iss": "https://id.example", "aud": ["other", "chat"]}
    assert (await verifier.verify(signed(**good))).user_id == "ada"
    for wrong, told in (
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": None}, "iss"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "aud"),
    ):
        refusal = await refused(verifier, signed(**{**good, **wrong}))
        assert refusal.code == "INVALID_TOKEN"
        assert told in refusal.message


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
async def test_unsigned_is_refused(verifier: JwtVerifier, alg: str) -> None:
    header = encoded(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    payload = encoded(json.dumps(claims()).encode())
    for signature in ("", "x"):
        refusal = await refused(verifier, f"{header}.{payload}.{signature}")
        assert refusal.code == "INVALID_TOKEN"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_no_secret(
    public_verifier: Callable[[str], JwtVerifier], keyring: Keyring, algorithm: str
) -> None:
    pem = pem_of(keyring.of(algorithm))
    payload = json.dumps(claims()).encode()
    for secret in (pem, pem.strip()):
        token = hmac_token({"alg": "HS256", "typ": "JWT"}, payload, secret)
        assert (await refused(public_verifier(algorithm), token)).code == "INVALID_TOKEN"


async def test_a_secret_takes_no_other_algorithm(verifier: JwtVerifier, keyring: Keyring) -> None:
    assert (await refused(verifier, signed(keyring.rs256, "RS256"))).code == "INVALID_TOKEN"
    strong = SECRET * 2
    other = JwtVerifier(FixedKey(Key(strong, ("HS256",))), TokenRules())
    assert (await refused(other, signed(strong, "HS512"))).code == "INVALID_TOKEN"


async def test_a_changed_byte_is_noticed(verifier: JwtVerifier) -> None:
    header, _, signature = signed().split(".")
    forged = encoded(json.dumps(claims(sub="root")).encode())
    assert (await refused(verifier, f"{header}.{forged}.{signature}")).code == "INVALID_TOKEN"


async def test_a_key_in_the_header_is_not_used(verifier: JwtVerifier) -> None:
    mine = "a secret that the attacker has chosen"
    jwk = {"kty": "oct", "k": encoded(mine.encode())}
    header = {"alg": "HS256", "jwk": jwk, "jku": "http://127.0.0.1:1/", "kid": "../../dev/null"}
    token = hmac_token(header, json.dumps(claims()).encode(), mine.encode())
    assert (await refused(verifier, token)).code == "INVALID_TOKEN"


async def test_an_oversized_token_is_not_read() -> None:
    verifier = JwtVerifier(KEYS, TokenRules(max_bytes=1000))
    assert "long" in (await refused(verifier, signed(padding="x" * 1000))).message


async def test_a_remembered_token_ends_with_its_time() -> None:
    now = time.time()
    verifier = JwtVerifier(KEYS, TokenRules(leeway_seconds=10), clock=lambda: now)
    token = signed(exp=int(now) + 2)
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first, "the second answer is the remembered one"
    now += 13
    assert (await verifier.verify(token)) is not first, "forgotten, checked again by the real clock"


async def test_the_memory_is_bounded() -> None:
    verifier = JwtVerifier(KEYS, TokenRules(), cache_size=2)
    tokens = [signed(sub=f"user-{n}") for n in range(3)]
    seen = [await verifier.verify(token) for token in tokens]
    assert len(verifier._verified) == 2
    assert await verifier.verify(tokens[2]) is seen[2]
    assert await verifier.verify(tokens[0]) == seen[0]
    assert await verifier.verify(tokens[0]) is not seen[0], "the oldest had made room"


@given(st.text(max_size=200))
async def test_any_text_is_refused_and_nothing_breaks(token: str) -> None:
    assert (await refused(JwtVerifier(KEYS, TokenRules()), token)).code == "INVALID_TOKEN"


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
async def test_any_segments_are_refused(segments: list[bytes]) -> None:
    token = ".".join(map(encoded, segments))
    assert (await refused(JwtVerifier(KEYS, TokenRules()), token)).code == "INVALID_TOKEN"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    header=st.dictionaries(st.sampled_from(["kid", "typ", "crit", "b64", "cty"]), _JSON),
    payload=st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "jti", "name"]), _JSON),
)
async def test_any_signed_claims_end_in_an_identity_or_a_refusal(
    header: dict[str, Any], payload: dict[str, Any]
) -> None:
    token = hmac_token({**header, "alg": "HS256"}, json.dumps(payload).encode(), SECRET.encode())
    try:
        identity = await JwtVerifier(KEYS, TokenRules()).verify(token)
    except Unauthenticated:
        return
    assert 1 <= len(identity.user_id) <= 128
    assert identity.user_id.encode()
    assert isinstance(identity.expires_at, int)


def test_the_helper_signs_as_the_library_does() -> None:
    token = hmac_token({"alg": "HS256", "typ": "JWT"}, json.dumps(claims()).encode(), SECRET.encode())
    assert jwt.decode(token, SECRET, algorithms=["HS256"])["sub"] == "ada"
