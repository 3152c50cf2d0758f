"""Checks user tokens: signature, issuer, audience, times, subject."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import jwt

from contract.names import display_name
from contract.user_ids import USER_ID_RULE, is_user_id
from edge.identity.keys import Key, KeySource
from edge.identity.port import Identity
from edge.identity.verified import VerifiedTokens
from mesh.errors import Unauthenticated
from parley.common.v1.error_pb2 import ErrorReason

# Tokens for other purposes, such as the provider's logout tokens, are signed with the same keys and name
# another type (RFC 8725 section 3.11). Access tokens of RFC 9068 name their own, most others JWT or nothing.
_TYPES: Final = frozenset({"", "jwt", "at+jwt"})
_TIMES: Final = ("exp", "nbf", "iat")
_MAX_TRIED: Final = 8  # keys, where key ids do not tell which; a check costs 25 to 97 µs
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999: what every clock and timer here can hold


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say. Empty ``issuer``: any. Empty ``audience``: the token must not name one."""

    issuer: str | None = None
    audience: tuple[str, ...] = ()
    leeway_seconds: int = 10
    max_bytes: int = 8192


class JwtVerifier:
    """The ``TokenVerifier`` for JSON Web Tokens (RFC 7519, with the practices of RFC 8725)."""

    def __init__(
        self,
        keys: KeySource,
        rules: TokenRules,
        *,
        cache_size: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._verified = VerifiedTokens(cache_size)
        self._clock = clock

    async def verify(self, token: str) -> Identity:
        """See ``TokenVerifier.verify``."""
        if len(token) > self._rules.max_bytes:
            raise _invalid("the token is too long")
        if not token.isascii():
            raise _invalid("the token is not valid")
        known = self._verified.get(token, self._clock(), self._keys.generation)
        if known is not None:
            return known
        kid, algorithm = _key_of(token)
        keys = await self._keys.find(kid)
        if not keys:
            raise _invalid("the token is signed with a key that is not known")
        # Taken before the check, so that a key withdrawn from now on withdraws this entry too.
        generation = self._keys.generation
        # Of a kind of key that does not fit one is asked all the same: it says what is wrong with the token.
        fitting = [key for key in keys if algorithm in key.algorithms][:_MAX_TRIED] or keys[:1]
        identity = _identity(self._claims(token, fitting))
        self._verified.put(token, identity, identity.expires_at + self._rules.leeway_seconds, generation)
        return identity

    async def check(self) -> None:
        """Returns if tokens can be checked; for readiness.

        Raises:
            Unavailable: no keys could be fetched yet.
        """
        await self._keys.check()

    def _claims(self, token: str, keys: Sequence[Key]) -> dict[str, Any]:
        """What the token says, by the first of the keys that signed it."""
        *others, last = keys
        try:
            for key in others:
                with suppress(jwt.InvalidSignatureError):
                    return self._decode(token, key)
            return self._decode(token, last)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(
                ErrorReason.ERROR_REASON_TOKEN_EXPIRED, "the token has expired; get a new one"
            ) from error
        except jwt.PyJWTError as error:
            raise _invalid(_explain(error)) from error

    def _decode(self, token: str, key: Key) -> dict[str, Any]:
        rules = self._rules
        return jwt.decode(
            token,
            key.material,
            algorithms=key.algorithms,
            issuer=rules.issuer,
            audience=rules.audience or None,
            leeway=rules.leeway_seconds,
            options={"require": ["exp", "sub"]},
        )


def _key_of(token: str) -> tuple[str | None, str | None]:
    """The id of the key that signed it, and the algorithm, as the token has it: no more than a hint."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise _invalid("the token is not valid") from error
    kind, kid = header.get("typ", ""), header.get("kid")
    # Media types: no difference between cases, and "application/" may be left out (RFC 7515 section 4.1.9).
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise _invalid("the token is of a type that is not for this")
    return kid if isinstance(kid, str) else None, header.get("alg")


def _identity(claims: dict[str, Any]) -> Identity:
    if not all(_is_number(claims[name]) for name in _TIMES if name in claims):
        raise _invalid("the token's times must be numbers")
    subject, name, scope = claims["sub"], claims.get("name"), claims.get("scope")
    if not is_user_id(subject):
        raise _invalid(f"the token's sub {USER_ID_RULE}")
    return Identity(
        user_id=subject,
        name=display_name(name) if isinstance(name, str) else "",
        expires_at=min(int(claims["exp"]), _LAST_SECOND),
        # PyJWT has refused an `iat` in the future; long before 1970 a number may be too large to multiply.
        issued_at_ms=int(max(0, claims.get("iat", 0)) * 1000),
        # One string, its words separated by spaces (RFC 8693 section 4.2). Anything else grants nothing.
        scopes=frozenset(scope.split(" ")) - {""} if isinstance(scope, str) else frozenset(),
    )


def _is_number(value: object) -> bool:
    # What PyJWT takes besides, text and truth values, is no NumericDate (RFC 7519 section 2).
    return isinstance(value, int | float) and not isinstance(value, bool)


def _explain(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is from another issuer"
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet"
        case jwt.MissingRequiredClaimError():
            return f"the token has no {error.claim}"
        case jwt.InvalidAlgorithmError():
            return "the token is signed with an algorithm that is not accepted"
        case _:
            return "the token is not valid"


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated(ErrorReason.ERROR_REASON_INVALID_TOKEN, message)
