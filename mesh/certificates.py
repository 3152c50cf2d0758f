"""Certificates in files that may be replaced at any time: what they hold, when they change, when they end."""

import math
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from cryptography import x509

from mesh.logs import get_logger
from mesh.metrics import CERTIFICATE_EXPIRES

_log = get_logger()


class Material(Protocol):
    """What files hold; equal to what they held before if nothing changed."""

    @property
    def certificate(self) -> bytes:
        """The process's own certificate, in PEM."""


MaterialT = TypeVar("MaterialT", bound=Material)
LoadedT = TypeVar("LoadedT")


class Rotation(Generic[MaterialT]):
    """Tells when the files changed. New material that is not usable, say half written, is left for later.

    ``read`` gives the material of the moment, whole and usable, or raises a ``ValueError`` that tells no
    secret; ``use`` says to whom the certificate is shown.
    """

    def __init__(self, use: str, read: Callable[[], MaterialT], material: MaterialT) -> None:
        self._use = use
        self._read = read
        self._material = material
        self._problem = ""
        show_expiry(use, material.certificate)

    def changed(self) -> MaterialT | None:
        """The new material, once; None while it is the same or not usable. May be called from any thread."""
        try:
            material = self._read()
        except ValueError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("tls.not_usable", use=self._use, error=self._problem)
            return None
        self._problem = ""
        if material == self._material:
            return None
        self._material = material
        show_expiry(self._use, material.certificate)
        _log.info("tls.rotated", use=self._use)
        return material


def read_files(*paths: Path, load: Callable[[], LoadedT]) -> tuple[list[bytes], LoadedT]:
    """The files, and what ``load`` made of them; it reads them by itself, as OpenSSL does.

    Raises:
        ValueError: one cannot be read, or ``load`` raised an ``OSError`` (``ssl.SSLError`` is one). The text
            names the files and nothing of what they hold.
    """
    try:
        held = [path.read_bytes() for path in paths]
        while True:
            loaded = load()
            # They may be replaced between two looks, and a certificate goes with its own key alone.
            before, held = held, [path.read_bytes() for path in paths]
            if held == before:
                return held, loaded
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise ValueError(f"{', '.join(map(str, paths))}: {reason}") from None


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Loads a certificate and its key.

    Raises:
        OSError: they hold none, or a key of another certificate.
    """
    # A key with a passphrase must fail: without an answer here OpenSSL would ask on the terminal.
    context.load_cert_chain(certificate, key, password="")


def show_expiry(use: str, pem: bytes) -> None:
    """Shows the end of the first certificate in ``pem``, the process's own; ``use``: to whom it is shown.

    One that OpenSSL took and this cannot read stays in use: its end is not a number then.
    """
    try:
        end = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except ValueError as error:
        _log.warning("tls.end_unknown", use=use, error=str(error))
        end = math.nan
    CERTIFICATE_EXPIRES.labels(use).set(end)
