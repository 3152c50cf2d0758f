"""``/unsubscribe``: where the link in a mail leads. Works without a login: the link holds its own proof."""

from http import HTTPStatus

from edge.rest.errors import invalid
from edge.rest.handler import RestHandler
from edge.rest.page import PAGE_POLICY, page
from mesh.errors import InvalidArgument, ParleyError
from parley.notify.v1.notify_service_pb2 import UnsubscribeRequest

_MAX_TOKEN = 1024
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
    """``/unsubscribe?token=``."""

    public = True

    def set_default_headers(self) -> None:
        """Pages in place of JSON."""
        super().set_default_headers()
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", PAGE_POLICY)

    def get(self) -> None:
        """Asks. Changes nothing: mail servers and mail programs follow links on their own."""
        self._token()
        _ = self.finish(_ASK)

    async def post(self) -> None:
        """Unsubscribes, by the button or in one click of a mail program (RFC 8058); no body is needed."""
        await self.deps.notify.Unsubscribe(UnsubscribeRequest(token=self._token()))
        _ = self.finish(_DONE)

    def refuse(self, failure: ParleyError, status: HTTPStatus) -> None:
        """Says it to people."""
        self.set_status(status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _ = self.finish(_LATER)
        else:
            _ = self.finish(_WRONG if isinstance(failure, InvalidArgument) else _REFUSED)

    def _token(self) -> str:
        tokens = self.get_query_arguments("token", strip=False)
        if len(tokens) != 1 or not 1 <= len(tokens[0]) <= _MAX_TOKEN:
            raise invalid("token: is needed once")
        return tokens[0]
