"""Keeps chat_service's view of this edge's sessions true: renewed while they live, closed when they end.

The edge has a lease there, which is kept every few seconds: when the edge dies, its sessions end with it.

A renewal also tells when the client last did something. Whoever returns after a pause is renewed without
waiting for the turn of all: who looks again should not be taken for idle for another minute.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.identity import Identity
from mesh.backoff import Backoff
from mesh.clock import now_ms
from mesh.errors import ParleyError
from mesh.ids import new_object_id
from mesh.logs import get_logger
from mesh.outage import Outage
from mesh.parts import parts
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub

_RENEW_BATCH: Final = 1000  # the limit of RenewSessions
_RETURNED_SECONDS: Final = 1.0  # those who return within this time are renewed together
_LEASE_SECONDS: Final = 3.0
_CLOSERS: Final = 8
_SESSION_SECONDS: Final = 300.0  # so long a session lives that nobody renews

_log = get_logger()


@dataclass(frozen=True, slots=True)
class _Live:
    session: pb.Session
    on_revoked: Callable[[], None]


class PresenceKeeper:
    """Owns the renewing and the closing of sessions; opening is the session's own first step."""

    def __init__(self, chats: ChatServiceStub, *, renew_seconds: float) -> None:
        self._outage = Outage("sessions.renewal_failed", "sessions.renewed")
        self._chats = chats
        self._renew_seconds = renew_seconds
        self._live: dict[str, _Live] = {}
        self._returned: dict[str, None] = {}
        self._some_returned = asyncio.Event()
        self._ended: asyncio.Queue[tuple[pb.Session, float]] = asyncio.Queue()
        self.edge_id: Final = new_object_id()

    def add(self, identity: Identity, connection_id: str, on_revoked: Callable[[], None]) -> None:
        """A session is about to be opened, or goes on with another token; both are the client's doing.

        `on_revoked` is called when a renewal finds it revoked.
        """
        before = self._live.get(connection_id)
        session = pb.Session(
            user_id=identity.user_id,
            connection_id=connection_id,
            token_issued_at_ms=identity.issued_at_ms,
            last_active_ms=now_ms(),
            partial=before is not None and before.session.partial,
        )
        self._live[connection_id] = _Live(session, on_revoked)

    def set_partial(self, connection_id: str, *, partial: bool) -> None:
        """Whether it lacks chats of its user. chat_service is told soon: who is notified goes by it."""
        live = self._live.get(connection_id)
        if live is not None:
            live.session.partial = partial
            self._returned[connection_id] = None
            self._some_returned.set()

    def touch(self, connection_id: str) -> None:
        """The client did something."""
        live = self._live.get(connection_id)
        if live is not None:
            at_ms = now_ms()
            if at_ms - live.session.last_active_ms > self._renew_seconds * 1_000:
                self._returned[connection_id] = None
                self._some_returned.set()
            live.session.last_active_ms = at_ms

    def last_active_ms(self, connection_id: str) -> int:
        """When the client last did something; 0 when its session is not open."""
        live = self._live.get(connection_id)
        return 0 if live is None else live.session.last_active_ms

    def end(self, connection_id: str) -> None:
        """A connection is gone: its session is closed soon, in the background."""
        live = self._live.pop(connection_id, None)
        if live is not None:
            self._end(live.session)

    def end_again(self, identity: Identity, connection_id: str) -> None:
        """A session that ended may have come to life again in chat_service: it is closed once more."""
        self._end(pb.Session(user_id=identity.user_id, connection_id=connection_id))

    def _end(self, session: pb.Session) -> None:
        self._ended.put_nowait((session, time.monotonic() + _SESSION_SECONDS))

    async def renew(self) -> None:
        """Renews all sessions every `renew_seconds`, at once who returned, and the lease, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_lease(), name="keep-lease")
            group.create_task(self._renew_all(), name="renew-all")
            group.create_task(self._renew_returned(), name="renew-returned")

    async def _keep_lease(self) -> None:
        while True:
            try:
                answer = await self._chats.RenewSessions(
                    pb.RenewSessionsRequest(edge_id=self.edge_id), timeout=_LEASE_SECONDS
                )
            except ParleyError as error:
                _log.debug("sessions.lease_not_kept", code=error.code)
            else:
                if answer.renew_all and self._live:
                    _log.warning("sessions.lease_lapsed", sessions=len(self._live))
                    await self._renew(list(self._live))
            await asyncio.sleep(_LEASE_SECONDS)

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            await self._renew(list(self._live))

    async def _renew_returned(self) -> None:
        while True:
            await self._some_returned.wait()
            self._some_returned.clear()
            returned, self._returned = list(self._returned), {}
            await self._renew(returned)
            await asyncio.sleep(_RETURNED_SECONDS)

    async def _renew(self, connection_ids: Sequence[str]) -> None:
        for some in parts(connection_ids, _RENEW_BATCH):
            sessions = [live.session for each in some if (live := self._live.get(each)) is not None]
            if not sessions:
                continue
            try:
                answer = await self._chats.RenewSessions(
                    pb.RenewSessionsRequest(sessions=sessions, edge_id=self.edge_id)
                )
            except ParleyError as error:
                # Four more renewals fit into the life of a session.
                self._outage.failed(code=error.code)
            else:
                self._outage.worked()
                for session in answer.revoked:
                    if (live := self._live.get(session.connection_id)) is not None:
                        live.on_revoked()
            for session in sessions:
                if session.connection_id not in self._live:
                    # It ended meanwhile, and the renewal may have come behind its end: it ends once more.
                    self._end(session)

    async def close(self) -> None:
        """Closes ended sessions until cancelled, a few at a time."""
        async with asyncio.TaskGroup() as group:
            for number in range(_CLOSERS):
                group.create_task(self._close_ended(), name=f"close-sessions-{number}")

    async def closed(self) -> None:
        """Returns once every session that ended so far was closed, or is over by itself."""
        await self._ended.join()

    async def _close_ended(self) -> None:
        while True:
            session, until = await self._ended.get()
            try:
                await self._close_one(session, until)
            finally:
                self._ended.task_done()

    async def _close_one(self, session: pb.Session, until: float) -> None:
        """Insists: whoever is taken for online without being there is not notified of anything."""
        request = pb.CloseSessionRequest(session=session, edge_id=self.edge_id)
        backoff, code = Backoff(base=0.2, cap=2.0), ""
        while time.monotonic() < until:
            try:
                await self._chats.CloseSession(request)
            except ParleyError as error:
                code = error.code
                await asyncio.sleep(backoff.next_delay())
            else:
                return
        _log.warning("sessions.close_failed", connection_id=session.connection_id, code=code)
