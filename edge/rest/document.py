"""The descriptions of this API (OpenAPI 3.1) and of the WebSocket (AsyncAPI 3), for people and programs."""

from http import HTTPStatus

from edge.rest.handler import RestDeps, RestHandler
from edge.rest.operation import Access, Operation


class DocumentHandler(RestHandler):
    """The description of this API, which does not describe this operation and that of the other document."""

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


class SocketDocumentHandler(DocumentHandler):
    """The description of the WebSocket."""

    path = "/api/v1/asyncapi.json"
