"""Connections that lead where they may: the address that was checked is the address that is used."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import httpcore

from notify_service.ports import NotAskedError

Address = IPv4Address | IPv6Address

_MAX_ADDRESSES: Final = 4
"""Addresses of one name that are tried, one after the other."""
_CONNECT_SECONDS: Final = 3.0
"""For each of them."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once per connection, checks all its addresses, and connects to one of those it checked.

    No name is resolved after the check, so a name server whose answers change (DNS rebinding) gains nothing.
    TLS above still uses the name, for SNI and for the certificate.

    Names are resolved in threads of their own: whoever owns a name decides how long that takes, and the rest
    of the process has names to resolve as well.
    """

    def __init__(self, allows: Callable[[Address], bool], resolvers: Executor) -> None:
        self._allows = allows
        self._resolvers = resolvers
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first address that answers.

        Raises:
            NotAskedError: the name has an address that is not allowed, or cannot be a name.
            httpcore.ConnectError, httpcore.ConnectTimeout: it cannot be resolved, or nothing answers.
        """
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in (await self._resolve(host, port))[:_MAX_ADDRESSES]:
            try:
                return await self._tcp.connect_tcp(
                    str(address), port, timeout or _CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Between tries of a connection."""
        await asyncio.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._resolvers, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            )
        except socket.gaierror as error:
            raise httpcore.ConnectError(f"the name cannot be resolved: {error.strerror}") from error
        except UnicodeError as error:
            raise NotAskedError(f"{host[:100]!r} is not a host name") from error
        # A scope ("%eth0") only goes with link-local addresses, which are refused with and without it.
        addresses = [ip_address(str(entry[4][0])) for entry in found]
        for address in addresses:
            if not self._allows(address):
                raise NotAskedError(f"the address leads to {address}, which is not on the public internet")
        return addresses
