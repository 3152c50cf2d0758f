"""Sockets to listen on: one way for every HTTP port, and the same addresses as gRPC's ports take."""

from ipaddress import IPv6Address
from socket import socket
from typing import Final

from tornado.netutil import bind_sockets

from mesh.lifecycle import BindError

BACKLOG: Final = 128


def listen(host: str, port: int, *, field: str, backlog: int = BACKLOG) -> list[socket]:
    """Sockets bound to ``port`` of every address of ``host``; ``port`` 0 takes one that is free on all.

    ``::`` stands for all addresses of both families, by a socket each: on one socket for both, IPv4 clients
    would show addresses like ``::ffff:192.0.2.7``, which no list of trusted proxies names.

    Raises:
        BindError: the port is not free; ``field`` is the settings field that names it.
    """
    sockets: list[socket] = []
    try:
        for address in ("0.0.0.0", host) if _is_every_ipv6(host) else (host,):
            sockets += bind_sockets(port, address, backlog=backlog)
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise BindError(host, port, field) from error
    return sockets


def _is_every_ipv6(host: str) -> bool:
    try:
        return IPv6Address(host).is_unspecified
    except ValueError:
        return False
