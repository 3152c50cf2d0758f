"""``/openapi.json``: the description of this API (OpenAPI 3.1), for people, generators and gateways."""

import msgspec

from edge.rest.handler import RestHandler
from edge.rest.openapi import document


class DocumentHandler(RestHandler):
    """``/openapi.json``."""

    public = True

    def get(self) -> None:
        """The document; it is the same for everyone, so it may be cached for a while."""
        self.set_header("Cache-Control", "public, max-age=300")
        _ = self.finish(msgspec.json.encode(document()))
