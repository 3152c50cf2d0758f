"""The HTTP client of all senders: reuses connections, follows no redirect, reads little, sorts errors."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpcore
import httpx

from mesh.numbers import parse_number
from notify_service.domain.network import is_loopback, is_public
from notify_service.ports import NotAskedError, SendDelayedError, SendError, SendRefusedError, TargetGoneError
from notify_service.providers.answers import MAX_QUOTED, quote
from notify_service.providers.connections import Connections
from notify_service.providers.guard import Address, GuardedBackend

MAX_ANSWER: Final = 4096
"""Bytes of an answer's body that are read."""
_BUSY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_MOST_RETRY_SECONDS: Final = 999_999_999
_MAX_PORT: Final = 65_535
_HOST_BYTES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-._:")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_RESOLVERS: Final = 128
"""Threads; made when they are needed. Four times what may be under way at hosts that nobody knows: a request
is given up long before a name server that does not answer, and leaves its thread behind until then."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of a header that is there twice the last one."""
    body: bytes
    """The first `MAX_ANSWER` bytes."""

    @property
    def is_success(self) -> bool:
        """2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def detail(self) -> str:
        """One line for the ledger: the status and the beginning of the body."""
        text = quote(self.body.decode(errors="replace"))
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


class HttpClient:
    """Posts to URLs, with connections that are kept and reused. Made by `open_http`."""

    def __init__(self, pools: Mapping[str, Connections], seconds: float) -> None:
        self._pools = pools
        self._seconds = seconds

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """The server's answer, whatever its status is; `failure` says what a status means.

        No cookie is kept and no redirect followed: a 3xx is an answer like others.

        Raises:
            NotAskedError: the URL or a header is malformed, or the URL leads where this client may not go.
            SendDelayedError: there was no whole answer in time.
        """
        target = parse_url(url)
        pool = self._pools.get(target.scheme.decode())
        if pool is None:
            raise NotAskedError(f"the address must begin with {' or '.join(self._pools)}://")
        require_headers(headers)
        try:
            async with asyncio.timeout(self._seconds):
                return await _post(pool, target, content, headers)
        except TimeoutError as error:
            raise SendDelayedError(f"no answer within {self._seconds:g} s") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise no_answer(error) from error


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Verifies servers by the public authorities and those of `ca_file`, in PEM.

    Raises:
        OSError: `ca_file` cannot be read or is no certificate (`ssl.SSLError` is an `OSError`).
    """
    tls = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        tls.load_verify_locations(cafile=ca_file)
    return tls


@asynccontextmanager
async def open_http(
    *,
    seconds: float,
    allow_loopback: bool = False,
    ca_file: Path | None = None,
) -> AsyncIterator[HttpClient]:
    """A client while entered: https only, and only to public addresses.

    Args:
        seconds: how long a request may take, from resolving the name to the end of the answer.
        allow_loopback: allows this machine as well, and http to this machine alone.
        ca_file: certificates (PEM) trusted besides the public ones.

    Raises:
        OSError: `ca_file` cannot be read or is no certificate (`ssl.SSLError` is an `OSError`).
    """
    tls = trusting(ca_file)
    async with AsyncExitStack() as stack:
        pools = {
            scheme: await stack.enter_async_context(Connections(tls, backend))
            for scheme, backend in _guards(stack, allow_loopback=allow_loopback).items()
        }
        yield HttpClient(pools, seconds)


def failure(answer: Answer, *, gone: Container[int] = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)) -> SendError:
    """What a status other than 2xx means, where the provider has not said it in words of its own.

    Args:
        answer: the answer.
        gone: statuses that say that the target is no more.
    """
    status = answer.status
    if status in gone:
        return TargetGoneError(answer.detail)
    if status in _BUSY:
        return SendDelayedError(
            answer.detail, retry_after_seconds=retry_after_seconds(answer.headers), provider_down=False
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SendDelayedError(answer.detail, retry_after_seconds=retry_after_seconds(answer.headers))
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return SendRefusedError(f"HTTP {status}: redirects are not followed")
    return SendRefusedError(answer.detail)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long `Retry-After` asks to wait, in either form (RFC 9110, 10.2.3); None when it does not."""
    value = headers.get("retry-after", "").strip()
    seconds = parse_number(value)
    if seconds is not None:
        return float(seconds) if seconds <= _MOST_RETRY_SECONDS else None
    try:
        at = parsedate_to_datetime(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def require_headers(headers: Mapping[str, str]) -> None:
    """Raises `NotAskedError` where a value would end its header, or hold what headers must not."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise NotAskedError(f"the header {name} would hold characters that it must not")


def no_answer(error: Exception) -> SendDelayedError:
    """What it means that a connection failed."""
    return SendDelayedError(f"no answer: {quote(str(error)) or type(error).__name__}")


@lru_cache(maxsize=1024)
def parse_url(url: str) -> httpcore.URL:
    """The parts of a URL: the host in lower case and ASCII, the port None where it is the scheme's own.

    Raises:
        NotAskedError: it is none, or holds a user name.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise NotAskedError(f"the address is not a URL: {error}"[:MAX_QUOTED]) from error
    if not parsed.raw_host or set(parsed.raw_host) - _HOST_BYTES:
        raise NotAskedError("the address names no host")
    if parsed.userinfo:
        raise NotAskedError("the address holds a user name or password")
    if parsed.port is not None and not 0 < parsed.port <= _MAX_PORT:
        raise NotAskedError(f"the address names the port {parsed.port}")
    port = None if parsed.port == _DEFAULT_PORTS.get(parsed.scheme) else parsed.port
    return httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=port, target=parsed.raw_path)


def authority_of(url: httpcore.URL) -> str:
    """Host and port as URLs, origins and `Host` have them: the port where it is not the scheme's own."""
    host = url.host.decode()
    host = f"[{host}]" if ":" in host else host
    return host if url.port is None else f"{host}:{url.port}"


def _guards(stack: AsyncExitStack, *, allow_loopback: bool) -> dict[str, httpcore.AsyncNetworkBackend]:
    resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")
    stack.callback(resolvers.shutdown, wait=False, cancel_futures=True)
    if not allow_loopback:
        return {"https": GuardedBackend(is_public, resolvers)}

    def public_or_loopback(address: Address) -> bool:
        return is_public(address) or is_loopback(address)

    return {
        "https": GuardedBackend(public_or_loopback, resolvers),
        "http": GuardedBackend(is_loopback, resolvers),
    }


async def _post(
    pool: Connections,
    url: httpcore.URL,
    content: bytes,
    headers: Mapping[str, str],
) -> Answer:
    # Not compressed: a few kilobytes of answer cannot grow into more.
    sent: list[tuple[bytes | str, bytes | str]] = [
        ("host", authority_of(url)),
        ("user-agent", "Parley"),
        ("accept-encoding", "identity"),
        *headers.items(),
    ]
    body = bytearray()
    async with pool.stream("POST", url, headers=sent, content=content, extensions={}) as response:
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) >= MAX_ANSWER:
                break
        received = {
            name.decode(errors="replace").lower(): value.decode(errors="replace")
            for name, value in response.headers
        }
        return Answer(response.status, received, bytes(body[:MAX_ANSWER]))
