"""Mutual TLS between services, by three files that may be replaced at any time.

A service proves itself with its certificate as well as with its token: one of the names in the certificate
must be the service's own. `edge.parley.svc` and `spiffe://cluster.local/ns/parley/sa/edge` both name `edge`.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from mesh.certificates import show_expiry
from mesh.logs import get_logger

_HEADLESS: Final = "-headless"
_log = get_logger()


@dataclass(frozen=True, slots=True)
class Material:
    """What the three files hold, in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes

    def server_configuration(self) -> grpc.ServerCertificateConfiguration:
        """For a server that asks its callers for a certificate."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authorities)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a caller that shows its certificate."""
        return grpc.ssl_channel_credentials(self.authorities, self.key, self.certificate)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a service's certificate (with its chain), its key, and the authorities it trusts are."""

    certificate: Path
    key: Path
    authorities: Path

    def read(self) -> Material:
        """The material of this moment, whole and usable.

        Raises:
            ValueError: a file cannot be read or holds no PEM, or the key is another certificate's. The text
                names the files and nothing of what they hold.
        """
        try:
            # What gRPC would find out later, and then only by refusing every connection.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # A key with a passphrase must fail: without an answer here OpenSSL would ask on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
            context.load_verify_locations(self.authorities)
            return Material(
                self.certificate.read_bytes(), self.key.read_bytes(), self.authorities.read_bytes()
            )
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            files = ", ".join(map(str, (self.certificate, self.key, self.authorities)))
            raise ValueError(f"{files}: {reason}") from None


class Rotation:
    """Tells when the files changed. New material that is not usable, say half written, is left for later."""

    def __init__(self, files: TlsFiles, material: Material) -> None:
        self._files = files
        self._material = material
        self._problem = ""
        show_expiry("services", material.certificate)

    def changed(self) -> Material | None:
        """The new material, once; None while it is the same or not usable. May be called from any thread."""
        try:
            material = self._files.read()
        except ValueError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("tls.not_usable", error=self._problem)
            return None
        self._problem = ""
        if material == self._material:
            return None
        self._material = material
        show_expiry("services", material.certificate)
        _log.info("tls.rotated", certificate=str(self._files.certificate))
        return material


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials of a server whose callers must show a certificate; new connections get the newest files.

    Raises:
        ValueError: the files are not usable.
    """
    material = files.read()
    rotation = Rotation(files, material)

    # gRPC takes None for "as before" (grpc.dynamic_ssl_server_credentials), which its type does not say.
    def fetch() -> Any:
        changed = rotation.changed()
        return None if changed is None else changed.server_configuration()

    return grpc.dynamic_ssl_server_credentials(
        material.server_configuration(), fetch, require_client_authentication=True
    )


def service_names(alternative_names: Iterable[bytes]) -> frozenset[str]:
    """The services that a certificate with these subject alternative names stands for."""
    return frozenset(_service_name(name.decode("ascii", "replace")) for name in alternative_names)


def _service_name(name: str) -> str:
    if "://" in name:
        return urlsplit(name).path.rpartition("/")[2]  # SPIFFE ID
    return name.partition(".")[0].removesuffix(_HEADLESS)
