"""Settings of the HTTP API."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from mesh.settings import CommaSeparated, MeshSettings

# Apps with web pages inside have schemes of their own, such as capacitor://localhost.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@A-Z]+")


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and _ORIGIN.fullmatch(origin) is None:
            raise ValueError(f"{origin} is not an origin such as https://chat.example.com (lower case)")
    return origins


class RestSettings(MeshSettings):
    """What the HTTP API needs to know."""

    edge_cors_origins: Annotated[CommaSeparated, AfterValidator(_origins)] = ()
    """Web origins whose pages may use the API and connect; ``*`` for any. In development localhost's may."""
    edge_max_body_bytes: Annotated[int, Field(ge=1024, le=8 << 20)] = 128 * 1024
    """Larger request bodies are refused. The default holds a group with its 100 first members."""
