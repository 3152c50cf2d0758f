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

from mesh.certificates import Rotation, load_pair, read_files

_HEADLESS: Final = "-headless"


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
        pems, _ = read_files(self.certificate, self.key, self.authorities, load=self._load)
        return Material(*pems)

    def _load(self) -> None:
        # What gRPC would find out later, and then only by refusing every connection.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_pair(context, self.certificate, self.key)
        context.load_verify_locations(self.authorities)


def follow(files: TlsFiles, material: Material) -> Rotation[Material]:
    """Tells when the files changed since they held ``material``."""
    return Rotation("services", files.read, material)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials of a server whose callers must show a certificate; new connections get the newest files.

    Raises:
        ValueError: the files are not usable.
    """
    material = files.read()
    rotation = follow(files, material)

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
