"""URLs that name several hosts, as those of clusters do; `urllib` reads only the first."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

_URL: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<credentials>[^/?#]*@)?(?P<hosts>[^/?#]*)(?P<tail>.*)", re.DOTALL
)
_HOST: Final = re.compile(r"(\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[^\s:\[\]@]+))(:(?P<port>[0-9]{1,5}))?")
_HIGHEST_PORT: Final = 65_535


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """``host:port``, with brackets around an IPv6 host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostsUrl:
    """``scheme://credentials@host:port,host:port/tail``; ``credentials`` keeps its ``@``."""

    scheme: str
    credentials: str
    hosts: tuple[tuple[str, int | None], ...]
    tail: str

    def addresses(self, default_port: int) -> tuple[Address, ...]:
        """The hosts, in the order of the URL."""
        return tuple(Address(host, port or default_port) for host, port in self.hosts)

    def with_host(self, address: Address, *, scheme: str | None = None) -> str:
        """The same URL with one host."""
        return f"{scheme or self.scheme}://{self.credentials}{address}{self.tail}"


def parse_hosts(url: str) -> HostsUrl:
    """Takes a URL apart.

    Raises:
        ValueError: it is none; the message does not repeat it, for it may hold a password.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError("is not a URL")
    return HostsUrl(
        parts["scheme"],
        parts["credentials"] or "",
        tuple(_parse_host(host) for host in parts["hosts"].split(",")),
        parts["tail"],
    )


def _parse_host(text: str) -> tuple[str, int | None]:
    if not text:
        raise ValueError("names no host")
    parts = _HOST.fullmatch(text)
    if parts is None or int(parts["port"] or 0) > _HIGHEST_PORT:
        raise ValueError("is not a URL: a host must be name:port or [IPv6]:port")
    return parts["v6"] or parts["name"], int(parts["port"]) if parts["port"] else None
