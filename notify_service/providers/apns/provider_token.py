"""The token by which APNs knows who asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_RENEW_SECONDS: Final = 50 * 60
"""APNs takes a token for an hour."""
_MIN_SECONDS: Final = 20 * 60
"""APNs refuses tokens that change more often."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that Apple gave out to a team of developers."""

    private_key: EllipticCurvePrivateKey = field(repr=False)
    key_id: str
    team_id: str


class ProviderTokens:
    """Signs a token and keeps it for 50 minutes. Pure but for the clock."""

    def __init__(self, key: SigningKey, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._value = ""
        self._made_at = 0.0
        self._renewed_at = 0.0

    def get(self) -> str:
        """The token; a new one when the old is 50 minutes old, or of the future since the clock was set."""
        if not self._value or not 0 <= self._clock() - self._made_at < _RENEW_SECONDS:
            self._sign()
        return self._value

    def renew(self, refused: str) -> str | None:
        """A token in place of one that APNs says has expired.

        None when a token was replaced in this way less than 20 minutes ago and the next one expired as well:
        then the clock is wrong, and APNs would only complain that tokens change too often.
        """
        if refused != self._value:
            return self._value
        now = self._clock()
        if self._renewed_at and 0 <= now - self._renewed_at < _MIN_SECONDS:
            return None
        self._renewed_at = now
        self._sign()
        return self._value

    def _sign(self) -> None:
        self._made_at = self._clock()
        self._value = jwt.encode(
            {"iss": self._key.team_id, "iat": int(self._made_at)},
            self._key.private_key,
            algorithm="ES256",
            headers={"kid": self._key.key_id},
        )
