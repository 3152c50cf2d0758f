"""``/dev/token``: anybody's token for the asking, in development mode only."""

from http import HTTPStatus

from tornado.web import HTTPError

from edge.rest.bodies import DevTokenAnswer, DevTokenBody
from edge.rest.errors import check_head
from edge.rest.handler import RestHandler
from edge.rest.operation import Access, Operation
from mesh.clock import to_rfc3339
from parley.common.v1.error_pb2 import ErrorReason


class DevTokenHandler(RestHandler):
    """Tokens of the edge's own; elsewhere than in development it is not there."""

    path = "/api/v1/dev/token"
    operations = (
        Operation(
            method="POST",
            name="createDevToken",
            summary="A token for any user; in development mode only, elsewhere 404",
            body=DevTokenBody,
            answers={HTTPStatus.OK: DevTokenAnswer},
            errors=(ErrorReason.ERROR_REASON_NOT_FOUND,),
            access=Access.PUBLIC,
        ),
    )

    async def prepare(self) -> None:
        """404 where tokens come from the customer's identity provider."""
        if self.deps.dev_tokens is None:
            check_head(self.request)
            raise HTTPError(HTTPStatus.NOT_FOUND)
        await super().prepare()

    def post(self) -> None:
        """A token for the user that the body names."""
        if self.deps.dev_tokens is None:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        body = self.body(DevTokenBody)
        token, expires_at = self.deps.dev_tokens.issue(body.user_id, body.name, body.scopes)
        self.answer(DevTokenAnswer(token=token, expires_at=to_rfc3339(expires_at * 1000)))
