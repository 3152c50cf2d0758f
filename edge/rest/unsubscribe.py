"""``/unsubscribe``: where the link in a mail leads. Works without a login: the link holds its own proof."""

from http import HTTPStatus
from typing import Final

from edge.rest.handler import RestHandler
from edge.rest.operation import SERVICE_ERRORS, Access, Operation, Parameter
from edge.rest.page import PAGE_POLICY, page
from edge.rest.parameters import text
from mesh.errors import InvalidArgument, ParleyError
from parley.common.v1.error_pb2 import ErrorReason
from parley.notify.v1.notify_service_pb2 import UnsubscribeRequest

_TOKEN: Final = Parameter("token", "The token of the link.", text(1024, "must be the token of a link, whole"))
_ASK = page(
    "Stop these mails?",
    "You will get no more mails about messages that you have not read. Nothing else changes.",
    button="Stop these mails",
)
_DONE = page(
    "No more mails",
    "We will not mail you about unread messages any more. "
    "You can switch the mails on again in your notification settings.",
)
_WRONG = page(
    "This link does not work",
    "It is not complete. Please open the link in the mail once more, or copy all of it.",
)
_LATER = page(
    "That did not work",
    "We could not change your settings just now. Please try again in a few minutes.",
    button="Try again",
)
_REFUSED = page("That did not work", "This page cannot do what was asked for.")


class UnsubscribeHandler(RestHandler):
    """Where the link in a mail leads."""

    path = "/api/v1/unsubscribe"
    operations = (
        Operation(
            method="GET",
            name="askToUnsubscribe",
            summary="The page that the unsubscribe link of a mail leads to; changes nothing",
            parameters=(_TOKEN,),
            answers={HTTPStatus.OK: None},
            access=Access.PUBLIC,
            page=True,
        ),
        Operation(
            method="POST",
            name="unsubscribe",
            summary="End the mails, from that page or in one click (RFC 8058); a body is not needed and not "
            "read",
            parameters=(_TOKEN,),
            answers={HTTPStatus.OK: None},
            errors=(ErrorReason.ERROR_REASON_TOO_LARGE, *SERVICE_ERRORS),
            access=Access.PUBLIC,
            page=True,
        ),
    )

    def set_default_headers(self) -> None:
        """Pages in place of JSON."""
        super().set_default_headers()
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", PAGE_POLICY)

    def get(self) -> None:
        """Asks. Changes nothing: mail servers and mail programs follow links on their own."""
        self.value(_TOKEN)
        _ = self.finish(_ASK)

    async def post(self) -> None:
        """Unsubscribes, by the button or in one click of a mail program (RFC 8058); no body is needed."""
        await self.deps.notify.Unsubscribe(UnsubscribeRequest(token=self.value(_TOKEN)))
        _ = self.finish(_DONE)

    def refuse(self, failure: ParleyError, status: HTTPStatus) -> None:
        """Says it to people."""
        self.set_status(status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _ = self.finish(_LATER)
        else:
            of_link = isinstance(failure, InvalidArgument) and status != HTTPStatus.METHOD_NOT_ALLOWED
            _ = self.finish(_WRONG if of_link else _REFUSED)
