import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_service.domain.network import is_public
from notify_service.ports import SendRefusedError
from notify_service.providers.guard import GuardedBackend

PRIVATE_4 = [
    IPv4Network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
    )
]
private_4 = st.sampled_from(PRIVATE_4).flatmap(
    lambda network: st.integers(0, network.num_addresses - 1).map(lambda offset: network[offset])
)
#: Ways to write an IPv4 address as an IPv6 one: how far it is shifted, and what stands before it.
COVERS = {
    "compatible": (0, 0),
    "mapped": (0, 0xFFFF << 32),
    "translated": (0, 0xFFFF << 48),
    "NAT64": (0, 0x64FF9B << 96),
    "6to4": (80, 0x2002 << 112),
}
#: Ways to write an IPv4 address that resolvers understand.
FORMS: list[Callable[[IPv4Address], str]] = [
    str,
    lambda address: str(int(address)),
    lambda address: hex(int(address)),
    lambda address: f"0{int(address):o}",
    lambda address: ".".join(hex(octet) for octet in address.packed),
    lambda address: ".".join(f"0{octet:o}" for octet in address.packed),
    lambda address: f"{address.packed[0]}.{int.from_bytes(address.packed[1:])}",
    lambda address: f"{address.packed[0]}.{address.packed[1]}.{int.from_bytes(address.packed[2:])}",
    lambda address: f"::ffff:{address}",
]


@given(private_4)
def test_no_private_address_is_public(address: IPv4Address) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4), st.sampled_from(sorted(COVERS)))
def test_no_ipv4_address_is_public_in_a_cover(address: IPv4Address, cover: str) -> None:
    shift, prefix = COVERS[cover]
    assert not is_public(IPv6Address(prefix | int(address) << shift))


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_not_public(
    address: IPv4Address | IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_link_local or address.is_unspecified:
        assert not is_public(address)


@given(st.ip_addresses(v=6))
def test_public_ipv6_addresses_are_global_unicast(address: IPv6Address) -> None:
    if is_public(address):
        assert address in ip_network("2000::/3")


@given(private_4, st.sampled_from(FORMS))
def test_the_guard_connects_to_no_private_address_however_it_is_written(
    address: IPv4Address, form: Callable[[IPv4Address], str]
) -> None:
    with (
        ThreadPoolExecutor(1) as resolvers,
        pytest.raises(SendRefusedError, match="not on the public internet"),
    ):
        asyncio.run(GuardedBackend(is_public, resolvers).connect_tcp(form(address), 443))
