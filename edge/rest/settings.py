"""Settings of the HTTP API."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from mesh.settings import CommaSeparated, MeshSettings


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin == "*":
            continue
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}".lower():
            raise ValueError(f"{origin} is not an origin such as https://chat.example.com (lower case)")
    return origins


class RestSettings(MeshSettings):
    """What the HTTP API needs to know."""

    edge_cors_origins: Annotated[CommaSeparated, AfterValidator(_origins)] = ()
    """Web origins whose pages may use the API; ``*`` for any. In development localhost's always may."""
    edge_max_body_bytes: Annotated[int, Field(ge=1024, le=8 << 20)] = 128 * 1024
    """Larger request bodies are refused. The default holds a group with its 100 first members."""
