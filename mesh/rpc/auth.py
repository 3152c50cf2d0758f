"""Who is calling: short-lived signed tokens between services.

HS256 JSON Web Tokens (RFC 7519) with ``iss`` = caller, ``aud`` = callee, ``iat`` and ``exp``, signed with the
secret that all services share. A token for one callee is worthless at another.
"""

import time
from collections.abc import Callable
from typing import Final

import jwt

from mesh.errors import Unauthenticated
from parley.common.v1.error_pb2 import ErrorReason

TOKEN_SECONDS: Final = 60
LEEWAY_SECONDS: Final = 10
_ALGORITHM: Final = "HS256"
_CACHE_LIMIT: Final = 1024

Clock = Callable[[], float]


class TokenIssuer:
    """Makes the tokens with which ``caller`` calls ``callee``; each serves for half of its life."""

    def __init__(self, secret: str, caller: str, callee: str, clock: Clock = time.time) -> None:
        self._secret = secret
        self._caller = caller
        self._callee = callee
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0

    def token(self) -> str:
        """A token with at least half of its life left."""
        now = self._clock()
        if now >= self._renew_at:
            claims = {
                "iss": self._caller,
                "aud": self._callee,
                "iat": int(now),
                "exp": int(now) + TOKEN_SECONDS,
            }
            self._token = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
            self._renew_at = now + TOKEN_SECONDS / 2
        return self._token


class TokenVerifier:
    """Checks tokens for ``callee`` and remembers good ones until they expire."""

    def __init__(self, secret: str, callee: str, clock: Clock = time.time) -> None:
        self._secret = secret
        self._callee = callee
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}

    def caller(self, token: str) -> str:
        """The name of the service that made ``token``.

        Raises:
            Unauthenticated: TOKEN_EXPIRED or INVALID_TOKEN; a clock difference of 10 s is tolerated.
        """
        now = self._clock()
        known = self._known.get(token)
        if known is not None and now < known[1]:
            return known[0]
        caller, expires = self._verify(token, now)
        if len(self._known) >= _CACHE_LIMIT:
            self._known.clear()  # callers are few: so many tokens are mostly expired ones
        self._known[token] = (caller, expires)
        return caller

    def _verify(self, token: str, now: float) -> tuple[str, float]:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],  # a fixed list: the token's own header never chooses (RFC 8725, 3.1)
                audience=self._callee,
                # Times are compared below, against the injected clock.
                options={"require": ["iss", "aud", "exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
            issuer, issued, expires = str(claims["iss"]), float(claims["iat"]), float(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError, OverflowError) as error:
            raise _refused(ErrorReason.ERROR_REASON_INVALID_TOKEN, "service token is not valid") from error
        if now >= expires + LEEWAY_SECONDS:
            raise _refused(ErrorReason.ERROR_REASON_TOKEN_EXPIRED, "service token has expired")
        if issued > now + LEEWAY_SECONDS or expires - issued > TOKEN_SECONDS:
            raise _refused(ErrorReason.ERROR_REASON_INVALID_TOKEN, "service token has a wrong life span")
        return issuer, expires + LEEWAY_SECONDS


def _refused(reason: ErrorReason.ValueType, message: str) -> Unauthenticated:
    return Unauthenticated(reason, message)
