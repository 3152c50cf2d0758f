"""Settings of user tokens: which keys, and what a token must say."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from edge.identity.keys import PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS, read_public_key
from mesh.settings import (
    CommaSeparated,
    HttpUrl,
    MeshSettings,
    PositiveInt,
    PositiveSeconds,
    Secret,
    variable_name,
)

_KEY_SOURCES = ("jwt_secret", "jwt_public_key_file", "jwt_jwks_url")


class IdentitySettings(MeshSettings):
    """Exactly one of the three key sources must be set; each pins the algorithms that are accepted."""

    jwt_secret: Secret | None = None
    """Checks HS256. In development the edge also makes tokens with it; elsewhere not the service secret."""
    jwt_public_key_file: Path | None = None
    """PEM file with an RSA, EC or Ed25519 public key."""
    jwt_jwks_url: HttpUrl | None = Field(default=None, validate_default=True)
    """Where the identity provider publishes its JSON Web Key Set (RFC 7517); by https, or from this host."""
    jwt_algorithms: CommaSeparated = Field(default=(), validate_default=True)
    """Narrows what the keys' kinds allow, such as ``RS256,ES256``; empty takes all of them."""
    jwt_issuer: str | None = Field(default=None, min_length=1)
    """What ``iss`` must be. Not set: any."""
    jwt_audience: CommaSeparated = ()
    """One of these must be in ``aud``. Not set: a token with an ``aud`` is for others and refused."""
    jwt_leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How far the clocks of this host and of the issuer may differ."""
    jwt_max_token_bytes: PositiveInt = 8192
    """Longer tokens are refused unread."""
    jwt_cache_size: PositiveInt = 10_000
    """How many checked tokens are remembered, about 500 bytes each."""
    jwt_jwks_refresh_seconds: PositiveSeconds = 300.0
    """How often the key set is fetched again; a withdrawn key is refused after at most this time."""
    jwt_jwks_cooldown_seconds: PositiveSeconds = 10.0
    """An unknown key id makes the set be fetched again, but not more often than this."""

    @field_validator("jwt_secret")
    @classmethod
    def _is_not_the_services_own(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is not None and secret == info.data.get("service_secret") and not _in_development(info):
            raise ValueError(
                f"is the same as {variable_name('service_secret')}; who makes users' tokens is no service"
            )
        return secret

    @field_validator("jwt_public_key_file")
    @classmethod
    def _holds_a_public_key(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_public_key(path)
        return path

    @field_validator("jwt_jwks_url")
    @classmethod
    def _one_key_source(cls, url: str | None, info: ValidationInfo) -> str | None:
        # Runs after the other two sources. One that is missing here was set and is wrong: told already.
        others = [info.data.get(field, "wrong") for field in _KEY_SOURCES[:2]]
        count = sum(source is not None for source in (*others, url))
        if count != 1:
            names = ", ".join(map(variable_name, _KEY_SOURCES))
            raise ValueError(f"exactly one of {names} must be set, not {count or 'none'}")
        return url

    @field_validator("jwt_jwks_url")
    @classmethod
    def _nobody_changes_the_keys_on_the_way(cls, url: str | None, info: ValidationInfo) -> str | None:
        parts = urlsplit(url or "")
        if parts.scheme == "http" and not _is_loopback(parts.hostname or "") and not _in_development(info):
            raise ValueError("must start with https://: whoever changes the keys on the way makes tokens")
        return url

    @field_validator("jwt_algorithms")
    @classmethod
    def _algorithms_fit_the_keys(cls, allowed: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = SECRET_ALGORITHMS if info.data.get("jwt_secret") else PUBLIC_KEY_ALGORITHMS
        strange = [name for name in allowed if name not in known]
        if strange:
            raise ValueError(f"{', '.join(strange)} is not among {', '.join(known)}")
        path = info.data.get("jwt_public_key_file")
        if path is not None and allowed:
            try:
                read_public_key(path, allowed)
            except ValueError as error:
                raise ValueError(f"{variable_name('jwt_public_key_file')} {error}") from error
        return allowed


def _in_development(info: ValidationInfo) -> bool:
    return bool(info.data.get("env") == "development")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
