"""Which web pages may talk to this edge.

Browsers hold pages to CORS for HTTP (https://fetch.spec.whatwg.org/#http-cors-protocol), and to nothing for
WebSockets: there the server has to look at the origin itself (RFC 6455 section 10.2).
"""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from edge.rest.settings import RestSettings

_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """The origins allowed by the settings; none by default. No cookies are in play, so ``*`` is no danger.

    The edge's own origin has no need of it: browsers ask nobody for HTTP, and for WebSockets it is known.
    """

    allowed: frozenset[str] = frozenset()
    localhost: bool = False

    @classmethod
    def of(cls, settings: RestSettings) -> Self:
        """The policy that the settings ask for."""
        return cls(frozenset(settings.edge_cors_origins), localhost=settings.is_development)

    def allows(self, origin: str) -> bool:
        """Whether pages of ``origin`` (the value of that header, any text) may use the API."""
        if "*" in self.allowed or origin in self.allowed:
            return True
        return self.localhost and _host(origin) in _LOCAL_HOSTS

    def allows_socket(self, origin: str | None, host: str, *, secure: bool) -> bool:
        """Whether a WebSocket handshake may come from ``origin``; None, no such header: it is no browser's.

        ``host`` is what the request calls this edge. A page of the same host may connect; when the request is
        ``secure`` (TLS up to the edge or a trusted proxy), the page must have come by HTTPS too.
        """
        if origin is None or self.allows(origin):
            return True
        schemes = ("https",) if secure else ("https", "http")
        return bool(host) and any(_same(origin, scheme, host) for scheme in schemes)


def _same(origin: str, scheme: str, host: str) -> bool:
    # A browser leaves the default port out of both; programs may not.
    plain = host.lower().removesuffix(_DEFAULT_PORTS[scheme])
    return origin.lower().removesuffix(_DEFAULT_PORTS[scheme]) == f"{scheme}://{plain}"


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
