"""Where a client really comes from and by which way, when proxies stand before the edge."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
_Address: TypeAlias = IPv4Address | IPv6Address

_CLIENT_PREFIX: Final = 64  # an IPv6 client has this network for itself and may use any address of it


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation; an address alone is a network of one.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(text) for text in texts)


class TrustedProxies:
    """Believes `X-Forwarded-For` and `X-Forwarded-Proto` as far as trusted proxies wrote them."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def client_of(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address, or its /64 with IPv6: what limits are counted by.

        `forwarded` are the values of the header, in order. Each proxy appends whom it was asked by, so they
        are read from the right: as long as whoever wrote an entry is trusted, the entry is true.
        """
        address = _parse(peer)
        if address is None:
            return peer
        for entry in reversed([entry for value in forwarded for entry in value.split(",")]):
            written = _parse(entry.strip())
            if written is None or not self._trusts(address):
                break
            address = written
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, _CLIENT_PREFIX), strict=False))
        return str(address)

    def counted_as(self, peer: str) -> str | None:
        """What a connection of `peer` is counted as before it says anything; None, a trusted proxy's."""
        address = _parse(peer)
        return None if address is not None and self._trusts(address) else self.client_of(peer, ())

    def secure(self, peer: str, protocol: str, forwarded: Sequence[str]) -> bool:
        """Whether the client came by TLS, to the edge itself (`protocol` is then `https`) or to a proxy.

        `forwarded` are the values of `X-Forwarded-Proto`; the last is what the nearest proxy wrote.
        """
        address = _parse(peer)
        if protocol == "https" or not forwarded or address is None or not self._trusts(address):
            return protocol == "https"
        return forwarded[-1].rpartition(",")[2].strip().lower() == "https"

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _parse(text: str) -> _Address | None:
    # Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
