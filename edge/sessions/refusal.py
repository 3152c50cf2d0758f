"""A session that is refused after the upgrade, where a web page can read why."""

from edge.admission import Ticket
from edge.websocket.connection import Connection
from mesh.errors import ParleyError


class Refusal:
    """The receiver of a connection that is closed as soon as it is open: no session, no call to others.

    The ticket counts as one handshake and, until the socket is gone, as one connection of its address.
    """

    def __init__(self, connection: Connection, error: ParleyError, ticket: Ticket) -> None:
        self._connection = connection
        self._error = error
        self._ticket = ticket

    def on_open(self) -> None:
        """Says why, and ends it."""
        self._ticket.settle()
        self._connection.refuse(self._error)

    def on_message(self, payload: bytes) -> None:
        """What is sent all the same is dropped."""

    def on_limited(self, payload: bytes, retry_after_ms: int) -> None:
        """As any message."""

    def on_closed(self) -> None:
        """The socket is gone."""
        self._ticket.leave()
