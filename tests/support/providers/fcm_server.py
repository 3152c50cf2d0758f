"""A Firebase Cloud Messaging for tests, with the token endpoint that it needs, over real HTTP/2 and TLS."""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.providers.http2_server import Fault, Http2Server, Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.authority import Authority

PROJECT = "parley-test"
EMAIL = f"pusher@{PROJECT}.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_KEY_ID = "0123456789abcdef"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_MESSAGE_LIMIT = 4096
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_FIELDS: dict[str, set[str]] = {
    "": {"token", "notification", "data", "android", "apns"},
    "notification": {"title", "body"},
    "android": {"collapse_key", "priority", "ttl", "notification"},
    "apns": {"headers", "payload"},
}

# The slowest part of these tests, and one key is as good as another.
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FcmServer:
    """Takes what keeps the rules; `script` and `script_tokens` say what happens instead."""

    def __init__(self) -> None:
        self.http = Http2Server(self._handle)
        self.messages: list[dict[str, Any]] = []
        """The messages that were taken."""
        self.granted: list[str] = []
        """Access tokens, in the order of granting."""
        self.revoked: set[str] = set()
        self.gone: dict[str, Reply] = {}
        """What is answered for devices that are no more."""
        self.expires_in = 3599
        self._script: deque[Reply | Fault] = deque()
        self._token_script: deque[Reply | Fault] = deque()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        return self.http.url

    @property
    def token_requests(self) -> int:
        return sum(request.path == "/token" for request in self.http.requests)

    @property
    def send_requests(self) -> int:
        return len(self.http.requests) - self.token_requests

    def write_credentials(self, directory: Path, **changes: str) -> Path:
        """The JSON file that the Firebase console would have given out."""
        path = directory / "service-account.json"
        private_key = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": _KEY_ID,
            "private_key": private_key,
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(account | changes))
        return path

    @asynccontextmanager
    async def listen(self, authority: Authority) -> AsyncIterator[FcmServer]:
        async with self.http.listen(authority.server_context(alpn=["h2"])):
            yield self

    def script(self, *replies: Reply | Fault) -> None:
        self._script.extend(replies)

    def script_tokens(self, *replies: Reply | Fault) -> None:
        self._token_script.extend(replies)

    async def _handle(self, request: Request) -> Reply | Fault:
        if request.path == "/token":
            return self._token_script.popleft() if self._token_script else self._grant(request)
        return self._script.popleft() if self._script else self._send(request)

    def _grant(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != _GRANT:
            return _json(400, {"error": "unsupported_grant_type"})
        assertion = form.get("assertion", "")
        try:
            claims = jwt.decode(
                assertion,
                _KEY.public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/token",
                issuer=EMAIL,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            return _json(400, {"error": "invalid_grant", "error_description": str(error)})
        kid = jwt.get_unverified_header(assertion).get("kid")
        if kid != _KEY_ID or claims["exp"] - claims["iat"] > 3600 or claims.get("scope") != SCOPE:
            return _json(400, {"error": "invalid_grant", "error_description": "Invalid claims"})
        self.granted.append(f"ya29.{next(self._numbers)}")
        return _json(
            200,
            {"access_token": self.granted[-1], "expires_in": self.expires_in, "token_type": "Bearer"},
        )

    def _send(self, request: Request) -> Reply:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.granted or token in self.revoked:
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if request.path != f"/v1/projects/{PROJECT}/messages:send":
            return refusal(403, "PERMISSION_DENIED", "Permission denied on this project.")
        message = json.loads(request.body)["message"]
        if (problem := _problem(message)) is not None:
            return refusal(400, "INVALID_ARGUMENT", problem)
        if message["token"] in self.gone:
            return self.gone[message["token"]]
        self.messages.append(message)
        return _json(200, {"name": f"projects/{PROJECT}/messages/0:{len(self.messages)}"})


def refusal(
    status: int, code: str, message: str = "", *, fcm_code: str = "", field: str = "", retry_after: str = ""
) -> Reply:
    """An answer in Firebase's words; `field` is the one at fault."""
    details: list[dict[str, Any]] = []
    if fcm_code:
        details.append({"@type": _FCM_ERROR, "errorCode": fcm_code})
    if field:
        details.append({"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": message}]})
    error = {"code": status, "message": message, "status": code, "details": details}
    return _json(status, {"error": error}, **({"retry-after": retry_after} if retry_after else {}))


def _problem(message: dict[str, Any]) -> str | None:
    for part, known in _FIELDS.items():
        found = message if not part else message.get(part, {})
        if strange := found.keys() - known:
            return f"Unknown name {sorted(strange)} at 'message.{part}'"
    data: dict[str, Any] = message.get("data", {})
    android = message["android"]
    parts = {name: part for name, part in message.items() if name != "token"}
    size = len(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode())
    checks = {
        "Invalid value at 'message.data' (TYPE_STRING)": all(isinstance(one, str) for one in data.values()),
        "Invalid data payload key": not any(
            re.match(r"(from|message_type)$|google|gcm", key) for key in data
        ),
        "Invalid TTL": re.fullmatch(r"\d+s", android["ttl"]) and int(android["ttl"][:-1]) <= 2_419_200,
        "Invalid value at 'message.android.priority'": android["priority"] in {"NORMAL", "HIGH"},
        "Message too big": size <= _MESSAGE_LIMIT,
    }
    return next((problem for problem, passed in checks.items() if not passed), None)


def _json(status: int, body: dict[str, Any], **headers: str) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json", **headers})
