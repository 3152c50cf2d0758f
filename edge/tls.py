"""TLS at the edge itself (`https`, `wss`), for installations where no proxy ends it."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh.certificates import show_expiry
from mesh.logs import get_logger

_CHECK_SECONDS: Final = 60.0
# Of TLS 1.2 only what has forward secrecy and authenticated encryption (RFC 9325 section 4.2); TLS 1.3 has
# nothing else.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

_log = get_logger()


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the certificate (with its chain) and its key are. Both may be replaced at any time."""

    certificate: Path
    key: Path

    def read(self) -> bytes:
        """What they hold at this moment, to see whether it has changed.

        Raises:
            ValueError: one of them cannot be read.
        """
        try:
            return self.certificate.read_bytes() + b"\n" + self.key.read_bytes()
        except OSError as error:
            raise self._unusable(error) from None

    def context(self) -> ssl.SSLContext:
        """What a server needs to show this certificate: TLS 1.2 or newer, HTTP/1.1 in it.

        Raises:
            ValueError: they hold no certificate, no key, or a key of another certificate. The text names the
                files and nothing of what they hold.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A key with a passphrase must fail: without an answer here OpenSSL would ask on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:  # ssl.SSLError is one
            raise self._unusable(error) from None
        return context

    def _unusable(self, error: OSError) -> ValueError:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        return ValueError(f"{self.certificate}, {self.key}: {reason}")


class Renewal:
    """Watches the files of a certificate, and hands a context with the new one to `use`.

    Files that are not usable, say half replaced, change nothing: the certificate before stays in use.
    """

    def __init__(
        self,
        files: CertificateFiles,
        use: Callable[[ssl.SSLContext], None],
        *,
        check_seconds: float = _CHECK_SECONDS,
    ) -> None:
        self._files = files
        self._use = use
        self._check_seconds = check_seconds
        self._current = files.read()
        self._problem = ""
        show_expiry("clients", self._current)

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            await asyncio.sleep(self._check_seconds)
            try:
                self._check()
            except ValueError as error:
                if str(error) != self._problem:
                    self._problem = str(error)
                    _log.warning("tls.not_usable", error=self._problem)

    def _check(self) -> None:
        found = self._files.read()
        if found == self._current:
            return
        self._use(self._files.context())
        self._current, self._problem = found, ""
        show_expiry("clients", found)
        _log.info("tls.rotated", certificate=str(self._files.certificate))
