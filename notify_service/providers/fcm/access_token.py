"""The access token that every request to Firebase carries."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import msgspec

from notify_service.ports import SendDelayedError, SendRefusedError
from notify_service.providers.answers import decode, quote
from notify_service.providers.credentials import ServiceAccount
from notify_service.providers.http import Answer, retry_after_seconds
from notify_service.providers.http2 import Http2Client

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HEADERS: Final = {"content-type": "application/x-www-form-urlencoded"}
_EARLY_SECONDS: Final = 300.0
"""The next token is fetched so long before the old one ends."""
_MARGIN_SECONDS: Final = 30.0
"""A token that ends sooner is not used: it may end on its way."""
_EARLY_PAUSE_SECONDS: Final = 60.0
"""Between two early tries: the old token still serves."""
_PAUSE_SECONDS: Final = 5.0
"""After a failure nobody asks again for so long, or else all who wait would, one after the other."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Opens Firebase, usually for an hour."""

    value: str = field(repr=False)
    renew_at: float
    """By the clock of `AccessTokens`, as the next."""
    ends_at: float


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float


class _Refused(msgspec.Struct):
    error: str
    error_description: str = ""


class AccessTokens:
    """Keeps one token and fetches the next, once for all who wait for it."""

    def __init__(
        self, http: Http2Client, account: ServiceAccount, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._account = account
        self._clock = clock
        self._token: AccessToken | None = None
        self._fetching = asyncio.Lock()
        self._failure: SendDelayedError | None = None
        self._pause_until = 0.0

    async def get(self) -> AccessToken:
        """A token that is good for a while yet. While one caller fetches the next, others go on with the old.

        Raises:
            SendDelayedError: there is none, and Google gives none.
        """
        if (token := self._usable()) is None:
            async with self._fetching:
                # Whoever held the lock has fetched one, or failed, for all who waited.
                return self._usable() or await self._fetch()
        now = self._clock()
        if now < token.renew_at or now < self._pause_until or self._fetching.locked():
            return token
        self._pause_until = now + _EARLY_PAUSE_SECONDS
        async with self._fetching:
            try:
                return await self._request()
            except SendDelayedError:
                return token

    def forget(self, token: AccessToken) -> None:
        """Firebase did not accept it. No effect when it was replaced already."""
        if self._token is token:
            self._token = None
            self._pause_until = 0.0

    def _usable(self) -> AccessToken | None:
        return self._token if self._token is not None and self._clock() < self._token.ends_at else None

    async def _fetch(self) -> AccessToken:
        if self._failure is not None and self._clock() < self._pause_until:
            raise SendDelayedError(
                str(self._failure), retry_after_seconds=self._failure.retry_after_seconds
            ) from self._failure
        try:
            return await self._request()
        except SendDelayedError as error:
            self._failure = error
            self._pause_until = self._clock() + _PAUSE_SECONDS
            raise

    async def _request(self) -> AccessToken:
        assertion = self._account.assertion(SCOPE, int(time.time()))
        form = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        try:
            answer = await self._http.post(self._account.token_url, form, _HEADERS)
        except (SendDelayedError, SendRefusedError) as error:
            # A malformed URL is the operator's, and no reason to give up what is on its way.
            raise SendDelayedError(f"no access token: {error}") from error
        granted = _granted(answer)
        if granted is None:
            raise SendDelayedError(
                f"no access token: {_detail(answer, assertion)}",
                retry_after_seconds=retry_after_seconds(answer.headers),
            )
        now, half = self._clock(), granted.expires_in / 2
        self._failure = None
        self._token = AccessToken(
            granted.access_token,
            renew_at=now + max(granted.expires_in - _EARLY_SECONDS, half),
            ends_at=now + max(granted.expires_in - _MARGIN_SECONDS, half),
        )
        return self._token


def _granted(answer: Answer) -> _Granted | None:
    if not answer.is_success:
        return None
    granted = decode(answer.body, _Granted)
    if granted is None:
        return None
    # What cannot stand in a header is no token.
    is_token = granted.access_token.isascii() and granted.access_token.isprintable()
    return granted if granted.access_token and is_token and granted.expires_in > 0 else None


def _detail(answer: Answer, assertion: str) -> str:
    """Nothing is quoted of a success that was none: it may hold a token."""
    if answer.is_success:
        return f"HTTP {answer.status} without a token"
    refused = decode(answer.body, _Refused)
    if refused is None:
        return quote(answer.detail, assertion)
    return quote(f"HTTP {answer.status}: {refused.error}: {refused.error_description}", assertion)
