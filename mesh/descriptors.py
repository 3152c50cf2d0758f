"""How many files and sockets this process may have open."""

import resource
from typing import Final

from mesh.logs import get_logger

FEW: Final = 4096
"""Fewer than that are logged as a mistake."""
# For everything but clients: sockets to listen on, Redis, gRPC, logs. Where few are allowed, a quarter.
_RESERVED: Final = 256

_log = get_logger()


def hard_limit() -> int:
    """To how many the limit may be raised."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_limit() -> int:
    """Raises the limit as far as the operating system lets it, and logs it; gives the limit."""
    before, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before != limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if limit < FEW:
        _log.warning("descriptors.limit", limit=limit, was=before)
    else:
        _log.info("descriptors.limit", limit=limit, was=before)
    return limit


def reserved(limit: int | None = None) -> int:
    """How many are kept from connections of clients, of `limit` or of what this process may have."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(_RESERVED, limit // 4)


def for_clients(limit: int | None = None) -> int:
    """How many connections of clients may take, of `limit` or of what this process may have."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit - reserved(limit)
