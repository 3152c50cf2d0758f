"""All sessions of this edge: accepts connections, finds sessions by user, keeps them alive, ends them."""

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from edge.admission import Ticket
from edge.identity import Identity
from edge.protocol.codec import JSON, Codec
from edge.sessions.refusal import Refusal
from edge.sessions.services import SessionServices
from edge.sessions.session import Session
from edge.websocket.connection import Connection, ConnectionLimits, ReceiverFactory
from edge.websocket.flusher import Flusher
from edge.websocket.transport import Send, carry
from mesh.backoff import Backoff
from mesh.errors import ParleyError
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.outage import Outage
from parley.edge.v1.close_codes import CloseCode
from parley.events.v1.user_event_pb2 import UserEvent

_SEND_DRAIN_SECONDS: Final = 5.0  # the deadline of one SendMessages call
_NAP_SECONDS: Final = 0.01  # shorter waits are not worth a timer
_SLICE: Final = 100  # sessions handled in one go before others get their turn
_GATHER_SECONDS: Final = 0.2  # a node that goes takes many channels along, and they come back one by one
# What a connection may cost that is refused: its goodbye, and little time for it.
_REFUSED_BYTES: Final = 4096
_REFUSED_SECONDS: Final = 2.0
_RECHECKS: Final = 8  # at the same time, so that chat_service is not overrun when Redis is back

_log = get_logger()


class Gateway:
    """The sessions of this edge. When it goes away, clients leave spread over `drain_seconds`."""

    def __init__(
        self,
        *,
        services: SessionServices,
        limits: ConnectionLimits,
        drain_seconds: float,
    ) -> None:
        self._outage = Outage("gateway.recheck_failed", "gateway.rechecked")
        self._services = services
        self._limits = limits
        self._drain_seconds = drain_seconds
        self._flusher = Flusher()
        self._sessions: dict[Session, None] = {}
        self._by_user: dict[str, dict[Session, None]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._gap = asyncio.Event()
        self._gap_of_all = False
        self._gap_of: set[str] = set()  # users
        self.draining = False

    async def accept(
        self, peer: socket.socket, identity: Identity, ticket: Ticket, codec: Codec, early: bytes = b""
    ) -> None:
        """Takes over a socket whose handshake is done; `early` are bytes that came right behind it.

        The session settles the ticket once it is open, and leaves with its end.

        Raises:
            OSError: the peer is gone.
        """

        def session(connection: Connection) -> Session:
            return Session(
                connection, identity, self._services, ticket, on_open=self._add, on_closed=self._remove
            )

        await self._carry(
            peer, session, codec=codec, limits=self._limits, user_id=identity.user_id, early=early
        )

    async def refuse(
        self, peer: socket.socket, error: ParleyError, ticket: Ticket, early: bytes = b""
    ) -> None:
        """As `accept`, but for a socket that gets nothing but a close frame that says why.

        Raises:
            OSError: the peer is gone.
        """
        limits = replace(
            self._limits,
            max_message_bytes=_REFUSED_BYTES,
            bytes_burst=_REFUSED_BYTES,
            bytes_per_second=_REFUSED_BYTES,
            close_linger_seconds=_REFUSED_SECONDS,
        )
        await self._carry(
            peer,
            lambda connection: Refusal(connection, error, ticket),
            codec=JSON,
            limits=limits,
            user_id="",
            early=early,
        )

    async def _carry(
        self,
        peer: socket.socket,
        receiver: ReceiverFactory,
        *,
        codec: Codec,
        limits: ConnectionLimits,
        user_id: str,
        early: bytes,
    ) -> None:
        def connection(send: Send) -> Connection:
            return Connection(
                send,
                new_object_id(),
                user_id,
                codec=codec,
                limits=limits,
                flusher=self._flusher,
                receiver=receiver,
                early=early,
            )

        await carry(connection, peer)

    def on_user_event(self, event: UserEvent) -> None:
        """Something concerns one user, on all connections."""
        kind = event.WhichOneof("body")
        for session in tuple(self._by_user.get(event.user_id, ())):
            if kind == "chat_added":
                session.on_chat_added(event)
            elif kind == "chat_removed":
                session.on_chat_removed(event)
            elif kind == "sessions_revoked":
                session.on_revoked(event)

    def on_gap(self, user_ids: Iterable[str] | None = None) -> None:
        """Events were missed, perhaps a removal: sessions are checked against chat_service again.

        All of them, or those of `user_ids`.
        """
        if user_ids is None:
            self._gap_of_all = True
        else:
            self._gap_of.update(user_ids)
        self._gap.set()

    async def recheck(self) -> None:
        """Rechecks the sessions concerned after each gap, until cancelled."""
        while True:
            await self._gap.wait()
            if not self._gap_of_all:
                await asyncio.sleep(_GATHER_SECONDS)
            self._gap.clear()
            queue = (
                list(self._sessions)
                if self._gap_of_all
                else [session for user_id in self._gap_of for session in self._by_user.get(user_id, ())]
            )
            self._gap_of_all = False
            self._gap_of.clear()
            _log.info("gateway.rechecking", sessions=len(queue))
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_RECHECKS, len(queue))):
                    group.create_task(self._recheck_some(queue), name="recheck")

    async def heartbeat(self) -> None:
        """Pings every connection once per interval, spread over it, and ends those that stayed silent."""
        while True:
            sessions = list(self._sessions)
            slices = [sessions[start : start + _SLICE] for start in range(0, len(sessions), _SLICE)] or [[]]
            for part in slices:
                await asyncio.sleep(self._services.heartbeat_seconds / len(slices))
                for session in part:
                    session.connection.ping_or_abort()

    async def drain(self) -> None:
        """Tells all clients to go, each at its time, finishes what they sent and closes with 1001."""
        self.draining = True
        sessions = list(self._sessions)
        for number, session in enumerate(sessions, start=1):
            session.announce_drain(int(self._drain_seconds * 1000 * number / len(sessions)))
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number, session in enumerate(sessions, start=1):
            await self._empty_until(started + self._drain_seconds * number / len(sessions))
            session.go_away()
        with contextlib.suppress(TimeoutError):  # chat_service may be gone before us
            async with asyncio.timeout(_SEND_DRAIN_SECONDS):
                await self._services.sends.drain()
        for session in list(self._sessions):  # those whose messages got no answer, and who came meanwhile
            session.connection.close(CloseCode.GOING_AWAY)
        await self._empty.wait()
        await self._services.presence.closed()

    async def _empty_until(self, when: float) -> None:
        """Returns when the last session is gone, or at `when` (seconds of the loop's clock)."""
        if when - asyncio.get_running_loop().time() > _NAP_SECONDS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(when):
                    await self._empty.wait()

    def _add(self, session: Session) -> None:
        self._sessions[session] = None
        self._by_user.setdefault(session.identity.user_id, {})[session] = None
        self._empty.clear()

    def _remove(self, session: Session) -> None:
        user_id = session.identity.user_id
        self._sessions.pop(session, None)
        sessions = self._by_user.get(user_id, {})
        sessions.pop(session, None)
        if not sessions:
            self._by_user.pop(user_id, None)
            self._services.membership.stop_listening(user_id)
        if not self._sessions:
            self._empty.set()

    async def _recheck_some(self, queue: list[Session]) -> None:
        backoff = Backoff(base=0.2, cap=5.0)
        while queue:
            session = queue.pop()
            if not session.connection.open:
                continue
            try:
                await session.recheck()
            except ParleyError as error:
                self._outage.failed(code=error.code)
                if error.retryable:
                    queue.insert(0, session)  # the others first: it may be its trouble alone
                    await asyncio.sleep(backoff.next_delay())
                else:
                    # What it may see is not known and will not be: a fresh connection finds out.
                    session.connection.close(CloseCode.TRY_AGAIN_LATER)
            else:
                self._outage.worked()
                backoff.reset()
