"""Channels to the services, and as whom the command calls them.

It is `admin`, by the service secret. Under mutual TLS a caller must be who its certificate names: with the
files of a service, in its pod say, the command is that service and may do what `mesh.rpc.access` lets it do.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final

from cryptography import x509

from mesh.rpc.channel import RpcChannel, open_channel
from mesh.rpc.tls import TlsFiles, service_names
from mesh.settings import MeshSettings

_ADMIN: Final = "admin"


def open_service(callee: str, target: str, settings: MeshSettings) -> AbstractAsyncContextManager[RpcChannel]:
    """A channel to `chat`, `persist` or `notify` while entered."""
    return open_channel(
        target,
        caller=_ADMIN if settings.tls is None else caller_of(settings.tls),
        callee=callee,
        secret=settings.service_secret,
        tls=settings.tls,
        http_proxy=settings.rpc_http_proxy,
    )


def caller_of(files: TlsFiles) -> str:
    """The service that the certificate names, `admin` where that is among several."""
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return _ADMIN
    dns = extension.value.get_values_for_type(x509.DNSName)
    uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    names = service_names(name.encode() for name in (*dns, *uris))
    return _ADMIN if _ADMIN in names else min(names, default=_ADMIN)
