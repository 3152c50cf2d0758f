"""TLS at the edge itself (`https`, `wss`), for installations where no proxy ends it."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mesh.certificates import Rotation, load_pair, read_files

_CHECK_SECONDS: Final = 60.0
# Of TLS 1.2 only what has forward secrecy and authenticated encryption (RFC 9325 section 4.2); TLS 1.3 has
# nothing else.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


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
