"""Which web pages may talk to this edge (CORS; https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from edge.rest.settings import RestSettings

_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """The origins allowed by the settings; none by default. No cookies are in play, so ``*`` is no danger."""

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


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
