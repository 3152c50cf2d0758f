"""Builds the verifier that the settings ask for."""

import httpx

from edge.identity.jwks import JwksKeys
from edge.identity.keys import SECRET_ALGORITHMS, FixedKey, Key, KeySource, read_public_key
from edge.identity.settings import IdentitySettings
from edge.identity.verifier import JwtVerifier, TokenRules
from mesh.lifecycle import Lifecycle


async def open_verifier(settings: IdentitySettings, lifecycle: Lifecycle) -> JwtVerifier:
    """A verifier that works until ``lifecycle`` ends.

    Does not wait for a key set to be fetched: until it is there, ``verify`` raises ``Unavailable``. Give its
    ``check`` to the readiness of the process.
    """
    rules = TokenRules(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_seconds=settings.jwt_leeway_seconds,
        max_bytes=settings.jwt_max_token_bytes,
    )
    return JwtVerifier(await _open_keys(settings, lifecycle), rules, cache_size=settings.jwt_cache_size)


async def _open_keys(settings: IdentitySettings, lifecycle: Lifecycle) -> KeySource:
    if settings.jwt_secret is not None:
        return FixedKey(Key(settings.jwt_secret.get_secret_value(), SECRET_ALGORITHMS))
    if settings.jwt_public_key_file is not None:
        return FixedKey(read_public_key(settings.jwt_public_key_file, settings.jwt_algorithms))
    if settings.jwt_jwks_url is None:
        raise ValueError("the settings name no key source")
    keys = JwksKeys(
        await lifecycle.enter(httpx.AsyncClient()),
        settings.jwt_jwks_url,
        algorithms=settings.jwt_algorithms,
        refresh_seconds=settings.jwt_jwks_refresh_seconds,
        cooldown_seconds=settings.jwt_jwks_cooldown_seconds,
    )
    lifecycle.supervise("jwks", keys.run)
    return keys
