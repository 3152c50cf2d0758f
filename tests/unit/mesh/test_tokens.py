import base64
import json

import jwt
import pytest

from mesh.errors import Unauthenticated
from mesh.rpc.auth import LEEWAY_SECONDS, TOKEN_SECONDS, TokenIssuer, TokenVerifier
from parley.common.v1.error_pb2 import ErrorReason

SECRET = "k" * 32
NOW = 1_700_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> TokenVerifier:
    return TokenVerifier(SECRET, "chat", clock)


def _claims(**changes: object) -> dict[str, object]:
    claims = {"iss": "edge", "aud": "chat", "iat": NOW, "exp": NOW + TOKEN_SECONDS} | changes
    return {name: value for name, value in claims.items() if value is not None}


def _refusal(verifier: TokenVerifier, token: str) -> ErrorReason.ValueType:
    with pytest.raises(Unauthenticated) as refused:
        verifier.caller(token)
    assert SECRET not in refused.value.message
    return refused.value.reason


def test_a_token_names_its_caller(verifier: TokenVerifier, clock: Clock) -> None:
    token = TokenIssuer(SECRET, "edge", "chat", clock).token()
    assert verifier.caller(token) == "edge"
    assert verifier.caller(token) == "edge"  # from memory


def test_a_token_serves_for_half_of_its_life(clock: Clock) -> None:
    issuer = TokenIssuer(SECRET, "edge", "chat", clock)
    first = issuer.token()
    clock.now += TOKEN_SECONDS / 2 - 1
    assert issuer.token() is first
    clock.now += 1
    assert issuer.token() != first


def test_an_expired_token_is_refused_also_when_it_was_good_before(
    verifier: TokenVerifier, clock: Clock
) -> None:
    token = TokenIssuer(SECRET, "edge", "chat", clock).token()
    assert verifier.caller(token) == "edge"
    clock.now += TOKEN_SECONDS + LEEWAY_SECONDS - 1
    assert verifier.caller(token) == "edge"
    clock.now += 1
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_TOKEN_EXPIRED


def test_a_token_for_another_service_is_refused(verifier: TokenVerifier, clock: Clock) -> None:
    token = TokenIssuer(SECRET, "edge", "persist", clock).token()
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN


def test_a_token_of_another_secret_is_refused(verifier: TokenVerifier, clock: Clock) -> None:
    token = TokenIssuer("x" * 32, "edge", "chat", clock).token()
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN


def test_an_unsigned_token_is_refused(verifier: TokenVerifier) -> None:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    for algorithm in ("none", "None", "NONE"):
        token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(_claims())}."
        assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN


def test_a_token_with_changed_claims_is_refused(verifier: TokenVerifier, clock: Clock) -> None:
    head, _, signature = TokenIssuer(SECRET, "edge", "chat", clock).token().split(".")
    body = base64.urlsafe_b64encode(json.dumps(_claims(iss="persist")).encode()).rstrip(b"=").decode()
    assert _refusal(verifier, f"{head}.{body}.{signature}") == ErrorReason.ERROR_REASON_INVALID_TOKEN


@pytest.mark.parametrize("missing", ["iss", "aud", "iat", "exp"])
def test_every_claim_is_needed(verifier: TokenVerifier, missing: str) -> None:
    token = jwt.encode(_claims(**{missing: None}), SECRET, algorithm="HS256")
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + 86_400},  # a token that lives for a day was not made here
        {"iat": NOW + 60, "exp": NOW + 120},  # made in the future
        {"exp": "soon"},
        {"exp": float("inf")},
    ],
)
def test_a_wrong_life_span_is_refused(verifier: TokenVerifier, claims: dict[str, object]) -> None:
    token = jwt.encode(_claims(**claims), SECRET, algorithm="HS256")
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "....", "\u00e9.\u00e9.\u00e9"])
def test_rubbish_is_refused(verifier: TokenVerifier, token: str) -> None:
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN


def test_another_algorithm_is_refused(verifier: TokenVerifier) -> None:
    token = jwt.encode(_claims(), "k" * 64, algorithm="HS512")
    assert _refusal(verifier, token) == ErrorReason.ERROR_REASON_INVALID_TOKEN
