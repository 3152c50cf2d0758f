"""Channels to the services. The command is a caller of its own name, `admin`, with the service secret.

Under mutual TLS it also needs a certificate that names `admin` (see `mesh.rpc.access` for what that may do).
"""

from contextlib import AbstractAsyncContextManager
from typing import Final

from mesh.rpc.channel import RpcChannel, open_channel
from mesh.settings import MeshSettings

_CALLER: Final = "admin"


def open_service(callee: str, target: str, settings: MeshSettings) -> AbstractAsyncContextManager[RpcChannel]:
    """A channel to `chat`, `persist` or `notify` while entered."""
    return open_channel(
        target, caller=_CALLER, callee=callee, secret=settings.service_secret, tls=settings.tls
    )
