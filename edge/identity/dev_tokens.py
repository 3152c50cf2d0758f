"""Makes user tokens, for development: in production the customer's identity provider does."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import jwt

from edge.identity.keys import SECRET_ALGORITHMS
from edge.identity.settings import IdentitySettings

LIFETIME_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class DevTokens:
    """Signs tokens that this edge accepts."""

    secret: str = field(repr=False)
    issuer: str | None
    audience: tuple[str, ...]
    clock: Callable[[], float] = time.time

    @classmethod
    def allowed_by(cls, settings: IdentitySettings) -> "DevTokens | None":
        """The signer, or none outside development mode or without a shared secret to sign with."""
        if not settings.is_development or settings.jwt_secret is None:
            return None
        return cls(settings.jwt_secret.get_secret_value(), settings.jwt_issuer, settings.jwt_audience)

    def issue(self, user_id: str, name: str, scopes: Iterable[str] = ()) -> tuple[str, int]:
        """A token for one day, and when it expires (Unix seconds)."""
        now = int(self.clock())
        expires_at = now + LIFETIME_SECONDS
        claims: dict[str, object] = {"sub": user_id, "name": name, "iat": now, "exp": expires_at}
        if scope := " ".join(scopes):
            claims["scope"] = scope
        if self.issuer is not None:
            claims["iss"] = self.issuer
        if self.audience:
            claims["aud"] = self.audience[0]
        return jwt.encode(claims, self.secret, algorithm=SECRET_ALGORITHMS[0]), expires_at
