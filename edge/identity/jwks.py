"""Keys that the customer's identity provider publishes at a URL (JSON Web Key Set, RFC 7517)."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm

from edge.identity.keys import Key, public_key
from edge.metrics import JWKS_FAILING
from mesh.backoff import Backoff
from mesh.errors import unavailable
from mesh.logs import get_logger

_FETCH_SECONDS: Final = 5.0
_RETRY_CAP_SECONDS: Final = 30.0
_MAX_BYTES: Final = 1 << 20

# What parsing a key of somebody else's document can end in: wrong types, missing members, unknown kinds.
_UNUSABLE: Final = (ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm, jwt.PyJWTError)

_log = get_logger()


class _KeySet(msgspec.Struct):
    keys: list[Any]
    """Objects, by the RFC; what is none is skipped like a key of an unknown kind."""


class JwksKeys:
    """A ``KeySource`` that is fetched and fetched again.

    ``run`` keeps it fresh; a key id that is not known fetches at once, at most every ``cooldown_seconds``,
    which is what an attacker with made-up ids can cause. While the URL is down, or has no key of use,
    the last keys stay good, and the operator is told.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        *,
        algorithms: Collection[str] = (),
        refresh_seconds: float = 300.0,
        cooldown_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._url = url
        self._algorithms = algorithms
        self._refresh_seconds = refresh_seconds
        self._cooldown_seconds = cooldown_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._attempted_at: float | None = None
        self._published: list[Any] = []
        self._keys: Sequence[tuple[str | None, Key]] = ()
        self._is_usable = False
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows with every change of the published set."""
        return self._generation

    async def find(self, kid: str | None) -> Sequence[Key]:
        """See ``KeySource.find``. Ids may be missing, and may come twice (RFC 7517 section 4.5)."""
        if not self._called(kid):
            await self._fetch_unless_recent()
        await self.check()
        return self._called(kid) or [key for name, key in self._keys if name is None]

    async def check(self) -> None:
        """See ``KeySource.check``."""
        if not self._keys:
            raise unavailable("jwks", "the keys that check tokens cannot be fetched now")

    async def run(self) -> None:
        """Fetches until cancelled: soon again after a failure, else every ``refresh_seconds``."""
        backoff = Backoff(base=0.5, cap=_RETRY_CAP_SECONDS, floor=0.1)
        while True:
            async with self._lock:
                fetched = await self._fetch()
            if fetched:
                backoff.reset()
            await asyncio.sleep(self._refresh_seconds if fetched else backoff.next_delay())

    def _called(self, kid: str | None) -> list[Key]:
        """The keys of that id; all of them for a token that names none."""
        return [key for name, key in self._keys if kid in {None, name}]

    async def _fetch_unless_recent(self) -> None:
        # Requests that wait for the lock find that the one before them has just fetched.
        async with self._lock:
            now = self._clock()
            if self._attempted_at is None or now - self._attempted_at >= self._cooldown_seconds:
                await self._fetch()

    async def _fetch(self) -> bool:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                published = msgspec.json.decode(await self._download(), type=_KeySet).keys
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            _log.warning("jwks.fetch_failed", url=_shown(self._url), error=_cause(error))
            self._attempted_at = self._clock()
            JWKS_FAILING.set(1)
            return False
        self._attempted_at = self._clock()
        if published != self._published:
            self._take(published)
        JWKS_FAILING.set(not self._is_usable)
        return bool(self._keys)

    async def _download(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"the key set has more than {_MAX_BYTES} bytes")
        return bytes(body)

    def _take(self, published: list[Any]) -> None:
        """Changes to these keys. A set without any usable one is the provider's mistake: told, not taken."""
        self._published = published
        usable: list[tuple[str | None, Key]] = []
        for jwk in published:
            kid = jwk.get("kid") if isinstance(jwk, dict) else None
            try:
                usable.append((kid if isinstance(kid, str) else None, _key(jwk, self._algorithms)))
            except _UNUSABLE as error:
                # Key sets also hold keys for other purposes: encryption, algorithms not allowed here.
                _log.info("jwks.key_skipped", kid=kid, cause=type(error).__name__)
        self._is_usable = bool(usable)
        if not usable:
            _log.error("jwks.no_usable_key", url=_shown(self._url), keys=len(published), kept=len(self._keys))
        elif usable != self._keys:
            self._keys = usable
            self._generation += 1
            _log.info("jwks.keys_changed", url=_shown(self._url), keys=len(usable))


def _shown(url: str) -> str:
    """The URL without what may be a secret in it: a password, an API key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _cause(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):  # its text has the whole URL
        return f"HTTP {error.response.status_code}"
    return f"{type(error).__name__}: {error}"


def _key(jwk: dict[str, Any], allowed: Collection[str]) -> Key:
    if jwk.get("use", "sig") != "sig":
        raise ValueError("is not for signatures")
    # A private or symmetric key comes out as another class, which `public_key` refuses.
    key = public_key(jwt.PyJWK(jwk).key, allowed)
    named = jwk.get("alg")
    if named is None:
        return key
    if named not in key.algorithms:
        raise ValueError("is for an algorithm that is not allowed here")
    return Key(key.material, (named,))
