"""An APNs for tests: as strict as Apple's documents, over real HTTP/2 and TLS."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.providers.http2_server import Fault, Http2Server, Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.authority import Authority

KEY_ID = "ABC123DEFG"
TEAM_ID = "DEF123GHIJ"
TOPIC = "com.example.chat"
_PAYLOAD_LIMIT = 4096
_PRIORITIES = {"alert": {"1", "5", "10"}, "background": {"5"}}
_OF_THE_USER = {"alert", "badge", "sound"}


@dataclass(frozen=True)
class Pushed:
    """A notification that was taken."""

    token: str
    headers: dict[str, str]
    payload: dict[str, Any]
    receipt: str


class ApnsServer:
    """Takes what keeps the rules; `script` says what happens to the next requests instead."""

    def __init__(self, *, max_streams: int | None = 1000) -> None:
        self.http = Http2Server(self._handle, max_streams=max_streams)
        self.pushed: list[Pushed] = []
        self.provider_tokens: set[str] = set()
        """Those that were accepted."""
        self.expired: set[str] = set()
        """Provider tokens that are no longer accepted."""
        self.gone: dict[str, Reply] = {}
        """What is answered for devices that are no more."""
        self.gate = asyncio.Event()
        """While it is cleared, requests wait."""
        self.gate.set()
        self._script: deque[Reply | Fault] = deque()
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def url(self) -> str:
        return self.http.url

    def write_key(self, directory: Path) -> Path:
        """The .p8 file that Apple would have given out."""
        path = directory / f"AuthKey_{KEY_ID}.p8"
        path.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    @asynccontextmanager
    async def listen(self, authority: Authority) -> AsyncIterator[ApnsServer]:
        async with self.http.listen(authority.server_context(alpn=["h2"])):
            yield self

    def script(self, *replies: Reply | Fault) -> None:
        self._script.extend(replies)

    async def _handle(self, request: Request) -> Reply | Fault:
        await self.gate.wait()
        if self._script:
            return self._script.popleft()
        refusal = self._refusal_of_caller(request) or self._refusal_of_message(request)
        if refusal is not None:
            return refusal
        token = request.path.rpartition("/")[2]
        if token in self.gone:
            return self.gone[token]
        pushed = Pushed(token, request.headers, json.loads(request.body), str(uuid.uuid4()).upper())
        self.pushed.append(pushed)
        return Reply(200, headers={"apns-id": pushed.receipt})

    def _refusal_of_caller(self, request: Request) -> Reply | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return refusal(403, "MissingProviderToken")
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["ES256"],
                issuer=TEAM_ID,
                options={"require": ["iss", "iat"], "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return refusal(403, "InvalidProviderToken")
        if jwt.get_unverified_header(token).get("kid") != KEY_ID:
            return refusal(403, "InvalidProviderToken")
        if token in self.expired or abs(time.time() - claims["iat"]) > 3600:
            return refusal(403, "ExpiredProviderToken")
        self.provider_tokens.add(token)
        return None

    def _refusal_of_message(self, request: Request) -> Reply | None:
        headers = request.headers
        if request.method != "POST":
            return refusal(405, "MethodNotAllowed")
        if (path := re.fullmatch(r"/3/device/(.*)", request.path)) is None:
            return refusal(404, "BadPath")
        checks = {
            "BadDeviceToken": re.fullmatch(r"[0-9a-fA-F]{64,200}", path[1]),
            "TopicDisallowed": headers.get("apns-topic") == TOPIC,
            "InvalidPushType": headers.get("apns-push-type") in _PRIORITIES,
            "BadPriority": headers.get("apns-priority")
            in _PRIORITIES.get(headers.get("apns-push-type", ""), ()),
            "BadExpirationDate": headers.get("apns-expiration", "").isdigit(),
            "BadCollapseId": 0 < len(headers.get("apns-collapse-id", "").encode()) <= 64,
        }
        for reason, passed in checks.items():
            if not passed:
                return refusal(400, reason)
        if len(request.body) > _PAYLOAD_LIMIT:
            return refusal(413, "PayloadTooLarge")
        aps = json.loads(request.body).get("aps", {})
        # Apple: a background push holds none of what its user would notice, an alert holds some of it.
        if bool(_OF_THE_USER & aps.keys()) is not (headers["apns-push-type"] == "alert"):
            return refusal(400, "PayloadEmpty")
        return None


def refusal(status: int, reason: str, **more: int) -> Reply:
    """An answer in APNs' words."""
    return Reply(
        status, json.dumps({"reason": reason, **more}).encode(), {"apns-id": str(uuid.uuid4()).upper()}
    )
