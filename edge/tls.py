"""TLS at the edge itself (`https`, `wss`), for installations where no proxy ends it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typing_extensions import Buffer

from mesh.certificates import Rotation, load_pair, read_files

_CHECK_SECONDS: Final = 60.0
# Of TLS 1.2 only what has forward secrecy and authenticated encryption (RFC 9325 section 4.2); TLS 1.3 has
# nothing else.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class _Socket(ssl.SSLSocket):
    """A TLS socket whose failures end no other connection.

    OpenSSL has one queue of errors for each thread. Python 3.13 leaves in it what a peer that is gone caused,
    and the next read of another connection takes that for its own (python/cpython issue 81891).
    """

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the standard library
        with _NO_ERROR_STAYS:
            super().do_handshake(block)

    def read(self, len: int = 1024, buffer: Buffer | None = None) -> bytes:  # noqa: A002 - the same
        with _NO_ERROR_STAYS:
            return super().read(len, buffer)

    def send(self, data: Buffer, flags: int = 0) -> int:
        with _NO_ERROR_STAYS:
            return super().send(data, flags)

    def unwrap(self) -> socket.socket:
        with _NO_ERROR_STAYS:
            return super().unwrap()


class _NoErrorStays:
    """Empties the queue after a failure of the socket; TLS's own failures do that themselves."""

    def __init__(self) -> None:
        self._spare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None or issubclass(kind, ssl.SSLError) or not issubclass(kind, OSError):
            return
        # Nothing of `ssl` does only that. It is part of refusing a list without a known cipher.
        with contextlib.suppress(ssl.SSLError):
            self._spare.set_ciphers("none")


_NO_ERROR_STAYS: Final = _NoErrorStays()


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate with its chain and its key, in PEM, and what a server needs to show it."""

    certificate: bytes
    key: bytes = field(repr=False)
    context: ssl.SSLContext = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the certificate (with its chain) and its key are. Both may be replaced at any time."""

    certificate: Path
    key: Path

    def read(self) -> ServerCertificate:
        """What they hold at this moment, for TLS 1.2 or newer, with HTTP/1.1 in it.

        Raises:
            ValueError: they hold no certificate, no key, or a key of another certificate. The text names the
                files and nothing of what they hold.
        """
        (certificate, key), context = read_files(self.certificate, self.key, load=self._load)
        return ServerCertificate(certificate, key, context)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = _Socket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        load_pair(context, self.certificate, self.key)
        return context


async def renew(
    files: CertificateFiles,
    shown: ServerCertificate,
    use: Callable[[ssl.SSLContext], None],
    *,
    check_seconds: float = _CHECK_SECONDS,
) -> None:
    """Watches the files until cancelled; what they hold other than `shown` goes to `use`."""
    rotation = Rotation("clients", files.read, shown)
    while True:
        await asyncio.sleep(check_seconds)
        changed = rotation.changed()
        if changed is not None:
            use(changed.context)
