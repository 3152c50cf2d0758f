"""``/dev/console``: a page of the edge's own origin for a browser's console, in development mode only."""

from http import HTTPStatus
from typing import Final

from tornado.web import HTTPError

from edge.rest.handler import RestHandler
from edge.rest.operation import Access, Operation
from edge.rest.page import PAGE_POLICY, page
from parley.common.v1.error_pb2 import ErrorReason

_POLICY: Final = f"{PAGE_POLICY}; connect-src 'self' ws: wss:"
_PAGE: Final = page(
    "Parley, in development",
    "Open the developer tools of your browser here. What you type into their console comes from this "
    "server's origin, so it may open a WebSocket at /ws and call the REST API.",
)


class DevConsoleHandler(RestHandler):
    """A page of the edge's own origin; elsewhere than in development it is not there."""

    path = "/api/v1/dev/console"
    operations = (
        Operation(
            method="GET",
            name="openDevConsole",
            summary="A page of this origin for a browser's console; in development mode only, elsewhere 404",
            answers={HTTPStatus.OK: None},
            errors=(ErrorReason.ERROR_REASON_NOT_FOUND,),
            access=Access.PUBLIC,
            page=True,
        ),
    )

    def set_default_headers(self) -> None:
        """A page in place of JSON, which may connect to this server."""
        super().set_default_headers()
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", _POLICY)

    def get(self) -> None:
        """The page; it does nothing by itself."""
        if not self.deps.origins.localhost:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        _ = self.finish(_PAGE)
