"""What every request to a push service is signed with."""

import asyncio
import time
from collections import OrderedDict
from typing import Final

from mesh.logs import get_logger
from notify_service.ports import KeyStore
from notify_service.providers.web_push.vapid_key import VapidKey

_NAME: Final = "vapid"
_TOKEN_SECONDS: Final = 12 * 3600
"""RFC 8292 allows 24 h; half of it leaves room for clocks that differ."""
_RENEW_SECONDS: Final = _TOKEN_SECONDS // 2
_MAX_ORIGINS: Final = 1000
"""Push services that tokens are kept for. Users name them, so there may be any number."""

_log = get_logger()


class Vapid:
    """The deployment's key and its tokens, one per push service, made anew every 6 h.

    Without a key at hand the first who needs it reads it from the store, or makes it there.
    """

    def __init__(self, store: KeyStore, subject: str, key: VapidKey | None = None) -> None:
        self._store = store
        self._subject = subject
        self._key = key
        self._loading = asyncio.Lock()
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def public_key(self) -> str:
        """The `applicationServerKey` that browsers subscribe with: 65 bytes in base64url without padding.

        Raises:
            Unavailable: it is not known yet and the store cannot be reached.
        """
        return (await self._load()).public_key

    async def authorization(self, origin: str) -> str:
        """The value of the header `Authorization` for the push service at `origin`.

        Raises:
            Unavailable: as above.
        """
        now = time.time()
        renew_at, value = self._tokens.get(origin, (0.0, ""))
        if now >= renew_at:
            key = await self._load()
            value = key.authorization(origin, self._subject, int(now) + _TOKEN_SECONDS)
            self._tokens[origin] = (now + _RENEW_SECONDS, value)
        self._tokens.move_to_end(origin)
        if len(self._tokens) > _MAX_ORIGINS:
            self._tokens.popitem(last=False)
        return value

    async def _load(self) -> VapidKey:
        if self._key is None:
            async with self._loading:
                if self._key is None:
                    self._key = await self._read_or_make()
        return self._key

    async def _read_or_make(self) -> VapidKey:
        while (pem := await self._store.find(_NAME)) is None:
            made = VapidKey.generate()
            if await self._store.add(_NAME, made.to_pem()):
                _log.info("notify.vapid_key_made", public_key=made.public_key)
                return made
        return VapidKey.from_pem(pem)
