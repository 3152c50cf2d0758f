import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from notify_service.providers.apns.provider_token import ProviderTokens, SigningKey

PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
START = 1_700_000_000.5


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> ProviderTokens:
    return ProviderTokens(SigningKey(PRIVATE_KEY, "KEY", "TEAM"), clock)


def test_apple_can_check_it(tokens: ProviderTokens) -> None:
    token = tokens.get()

    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY", "typ": "JWT"}
    claims = jwt.decode(token, PRIVATE_KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM", "iat": int(START)}


@pytest.mark.parametrize(
    ("seconds", "same"), [(0, True), (50 * 60 - 1, True), (50 * 60, False), (-1, False), (90_000, False)]
)
def test_it_is_kept_for_fifty_minutes(
    *, tokens: ProviderTokens, clock: Clock, seconds: float, same: bool
) -> None:
    first = tokens.get()
    clock.now += seconds

    assert (tokens.get() == first) is same


def test_one_that_expired_is_replaced_once_for_all_who_had_it(tokens: ProviderTokens) -> None:
    old = tokens.get()
    new = tokens.renew(old)

    assert new not in {None, old}
    assert tokens.renew(old) == new
    assert tokens.get() == new


def test_one_that_keeps_expiring_is_replaced_every_twenty_minutes(
    tokens: ProviderTokens, clock: Clock
) -> None:
    refused = tokens.renew(tokens.get())
    assert refused is not None
    clock.now += 20 * 60 - 1
    assert tokens.renew(refused) is None
    clock.now += 1
    assert tokens.renew(refused) not in {None, refused}


def test_the_key_is_not_shown() -> None:
    assert "private" not in repr(SigningKey(PRIVATE_KEY, "KEY", "TEAM"))
