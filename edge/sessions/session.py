"""What one user does on one connection: opening, commands, and what concerns the user alone.

Messages go to the send queue at once. Everything else runs one after the other, in the order it came, in a
task that exists only while there is something to do.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from edge import metrics
from edge.admission import Ticket
from edge.identity import Identity
from edge.protocol.request import FrameError, Request
from edge.sessions.actions import Actions
from edge.sessions.chats import SessionChats, retryable
from edge.sessions.expiry import TokenExpiry
from edge.sessions.services import SessionServices
from edge.websocket.connection import Connection
from mesh.errors import ParleyError, ResourceExhausted, Unauthenticated
from mesh.logs import get_logger
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1 import frames
from parley.edge.v1.close_codes import CloseCode
from parley.edge.v1.conversions import chat_head_from_pb
from parley.events.v1.user_event_pb2 import UserEvent

_RECHECK_SECONDS: Final = 30.0
_MAX_JOBS: Final = 64  # commands of one connection that may wait for their turn

_log = get_logger()

_Job = Callable[[], Awaitable[None]]


class Session:
    """The receiver of one connection. `on_open` and `on_closed` are told of its beginning and its end."""

    def __init__(
        self,
        connection: Connection,
        identity: Identity,
        services: SessionServices,
        ticket: Ticket,
        *,
        on_open: Callable[["Session"], None],
        on_closed: Callable[["Session"], None],
    ) -> None:
        self.connection: Final = connection
        self.identity = identity
        self._services = services
        self._ticket = ticket
        self._on_open = on_open
        self._on_closed = on_closed
        self._jobs: deque[_Job] = deque()
        self._queued_sends = 0
        self._worker: asyncio.Task[None] | None = None
        self._chats = SessionChats(connection, services)
        self._actions = Actions(connection, services, self._chats, self._refresh)
        self._expiry = TokenExpiry(
            warn_seconds=services.expiry_warning_seconds,
            leeway_seconds=services.token_leeway_seconds,
            on_warning=self._warn,
            on_expired=self._expire,
        )

    # What the connection calls.

    def on_open(self) -> None:
        """The handshake is done: open the session; commands that come meanwhile wait."""
        self._on_open(self)
        self._enqueue(self._open)

    def on_message(self, payload: bytes) -> None:
        """A frame of the client."""
        self._services.presence.touch(self.connection.id)
        try:
            request = self.connection.codec.parse(payload)
        except FrameError as error:
            self._actions.refuse(error.id, error.error)
            return
        metrics.COMMANDS.labels(request.event).inc()
        command = request.command
        is_send = isinstance(command, frames.SendMessage)
        # A message overtakes slower commands, but no earlier message.
        if isinstance(command, frames.SendMessage) and self._chats.opened and not self._queued_sends:
            self._actions.send_message(request, command)
        elif len(self._jobs) >= _MAX_JOBS:
            self._actions.refuse_request(
                request,
                ResourceExhausted(
                    ErrorReason.ERROR_REASON_OVERLOADED, "too many commands wait", retry_after_ms=500
                ),
            )
        else:
            self._queued_sends += is_send
            self._enqueue(lambda: self._run(request))

    def on_limited(self, payload: bytes, retry_after_ms: int) -> None:
        """A frame beyond the budget of the connection."""
        self._services.presence.touch(self.connection.id)
        error = ResourceExhausted(
            ErrorReason.ERROR_REASON_RATE_LIMITED, "too many frames", retry_after_ms=retry_after_ms
        )
        try:
            request = self.connection.codec.parse(payload)
        except FrameError as malformed:
            self._actions.refuse(malformed.id, error)
        else:
            self._actions.refuse_request(request, error)

    def on_closed(self) -> None:
        """The connection is gone. A call in flight ends first, so that the session is closed after it."""
        self._ticket.leave()
        self._expiry.cancel()
        self._chats.close()
        self._on_closed(self)
        self._jobs.clear()
        if self._worker is None:
            self._services.presence.end(self.connection.id)

    # What concerns the user, from any edge.

    def on_chat_added(self, event: UserEvent) -> None:
        """The user became a member of a chat."""
        self._enqueue(lambda: self._chats.add(event))

    def on_chat_removed(self, event: UserEvent) -> None:
        """The user is a member no more: delivery ends at once."""
        self._chats.remove(event)

    def on_revoked(self, event: UserEvent) -> None:
        """Sessions of the user were revoked, perhaps this one: then it ends at once."""
        revoked = event.sessions_revoked
        if revoked.connection_id:
            concerned = revoked.connection_id == self.connection.id
        else:
            concerned = self.identity.issued_at_ms < revoked.issued_before_ms
        if concerned:
            self.end_revoked()

    def _expire(self) -> None:
        self.connection.close(CloseCode.TOKEN_REFUSED, "TOKEN_EXPIRED: the token has expired")

    def end_revoked(self) -> None:
        """Ends it: it was revoked."""
        self.connection.close(CloseCode.SESSION_REVOKED)

    # What the edge calls.

    def announce_drain(self, reconnect_after_ms: int) -> None:
        """Tells the client that this edge goes away, and when to connect to another."""
        self.connection.tell(frames.DrainFrame(frames.Drain(reconnect_after_ms=reconnect_after_ms)))

    def go_away(self) -> None:
        """Closes with 1001 once the messages in flight have their answers."""
        self._actions.finish()

    async def recheck(self) -> None:
        """Asks again where the user belongs, after events were missed, and leaves or joins accordingly.

        Raises:
            ParleyError: it could not be found out.
        """
        try:
            async with asyncio.timeout(_RECHECK_SECONDS), self._chats.turn:
                await self._recheck()
        except TimeoutError:
            # What it may see is not known, and others wait to be rechecked: a fresh connection finds out.
            self.connection.close(CloseCode.TRY_AGAIN_LATER)
        except Unauthenticated as error:
            if error.reason != ErrorReason.ERROR_REASON_SESSION_REVOKED:
                raise
            self.end_revoked()

    async def _recheck(self) -> None:
        if not self._chats.opened:
            return  # opening asks the same, and has yet to begin
        opened = await self._services.chats.OpenSession(self._open_request())
        if not self.connection.open:
            # It went while chat_service was asked, and may now be open there again: it ends once more.
            self._services.presence.end_again(self.identity, self.connection.id)
            return
        await self._chats.recheck(opened)

    # Jobs.

    async def _run(self, request: Request) -> None:
        self._queued_sends -= isinstance(request.command, frames.SendMessage)
        await self._actions.run(request)

    def _enqueue(self, job: _Job) -> None:
        self._jobs.append(job)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="session")

    async def _work(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                async with self._chats.turn:
                    await job()
                self._chats.tell_partial()
            except Exception:  # noqa: BLE001 - the task's last boundary
                _log.exception("session.job_failed", connection_id=self.connection.id)
                self.connection.close(CloseCode.INTERNAL_ERROR)
        self._worker = None
        if not self.connection.open:
            self._services.presence.end(self.connection.id)

    def _open_request(self) -> pb.OpenSessionRequest:
        return pb.OpenSessionRequest(
            user_id=self.identity.user_id,
            user_name=self.identity.name,
            connection_id=self.connection.id,
            token_issued_at_ms=self.identity.issued_at_ms,
            last_active_ms=self._services.presence.last_active_ms(self.connection.id),
            edge_id=self._services.presence.edge_id,
        )

    def _warn(self, left_ms: int) -> None:
        self.connection.tell(frames.TokenExpiringFrame(frames.TokenExpiry(expires_in_ms=left_ms)))

    def _refresh(self, identity: Identity) -> int:
        self.identity = identity
        if self.connection.open:
            self._services.presence.add(identity, self.connection.id, self.end_revoked)
            self._expiry.watch(identity.expires_at)
        return self._expiry.left_ms

    async def _open(self) -> None:
        services = self._services
        try:
            await services.membership.listen(self.connection)
            services.presence.add(self.identity, self.connection.id, self.end_revoked)
            opened = await services.chats.OpenSession(self._open_request())
            joined = await self._chats.join_first(opened)
        except ParleyError as error:
            _log.info(
                "session.refused", connection_id=self.connection.id, code=error.code, error=error.message
            )
            self.connection.refuse(error)
            return
        self._ticket.settle()
        welcome = frames.Welcome(
            user_id=self.identity.user_id,
            connection_id=self.connection.id,
            heartbeat_ms=int(services.heartbeat_seconds * 1000),
            chats=[chat_head_from_pb(head) for head in joined.heads],
            pending=retryable(joined),
            next_cursor=opened.next_cursor or None,
        )
        self.connection.welcome(frames.WelcomeFrame(welcome))
        self._chats.open(joined)
        if self.connection.open:
            self._expiry.watch(self.identity.expires_at)
