"""``/openapi.json``: the description of this API (OpenAPI 3.1), for people, generators and gateways."""

from http import HTTPStatus

from edge.rest.handler import RestDeps, RestHandler
from edge.rest.operation import Access, Operation


class DocumentHandler(RestHandler):
    """The description of this API; the only operation that it does not describe."""

    path = "/api/v1/openapi.json"
    operations = (
        Operation(
            method="GET",
            name="getDocument",
            summary="This document",
            answers={HTTPStatus.OK: None},
            access=Access.PUBLIC,
        ),
    )

    def initialize(self, deps: RestDeps, document: bytes) -> None:  # type: ignore[override]  # one more
        """Receives what the route was registered with."""
        super().initialize(deps)
        self._document = document

    def get(self) -> None:
        """The document; it is the same for everyone, so it may be cached for a while."""
        self.set_header("Cache-Control", "public, max-age=300")
        _ = self.finish(self._document)
