"""Keeps chat_service's view of this edge's sessions true: renewed while they live, closed when they end."""

import asyncio
from typing import Final

from mesh.backoff import Backoff
from mesh.errors import ParleyError
from mesh.logs import get_logger
from parley.chat.v1 import chat_service_pb2 as pb
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub

_RENEW_BATCH: Final = 1000  # the limit of RenewSessions
_RENEW_SECONDS: Final = 60.0  # an unrenewed session ends after 300 s
_CLOSERS: Final = 8
_CLOSE_ATTEMPTS: Final = 4

_log = get_logger()


class PresenceKeeper:
    """Owns the renewing and the closing of sessions; opening is the session's own first step."""

    def __init__(self, chats: ChatServiceStub) -> None:
        self._chats = chats
        self._live: dict[str, pb.Session] = {}
        self._ended: asyncio.Queue[pb.Session] = asyncio.Queue()

    def add(self, user_id: str, connection_id: str) -> None:
        """A session is about to be opened."""
        self._live[connection_id] = pb.Session(user_id=user_id, connection_id=connection_id)

    def end(self, connection_id: str) -> None:
        """A connection is gone: its session is closed soon, in the background."""
        session = self._live.pop(connection_id, None)
        if session is not None:
            self._ended.put_nowait(session)

    async def renew(self) -> None:
        """Renews every 60 seconds until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            sessions = list(self._live.values())
            for start in range(0, len(sessions), _RENEW_BATCH):
                try:
                    await self._chats.RenewSessions(
                        pb.RenewSessionsRequest(sessions=sessions[start : start + _RENEW_BATCH])
                    )
                except ParleyError as error:
                    # Four more renewals fit into the life of a session.
                    _log.warning("sessions.renewal_failed", code=error.code)

    async def close(self) -> None:
        """Closes ended sessions until cancelled, a few at a time."""
        async with asyncio.TaskGroup() as group:
            for number in range(_CLOSERS):
                group.create_task(self._close_ended(), name=f"close-sessions-{number}")

    async def closed(self) -> None:
        """Returns once every session that ended so far was closed or given up."""
        await self._ended.join()

    async def _close_ended(self) -> None:
        while True:
            session = await self._ended.get()
            try:
                await self._close_one(session)
            finally:
                self._ended.task_done()

    async def _close_one(self, session: pb.Session) -> None:
        backoff = Backoff(base=0.2, cap=2.0)
        for _ in range(_CLOSE_ATTEMPTS):
            try:
                await self._chats.CloseSession(pb.CloseSessionRequest(session=session))
            except ParleyError as error:
                code = error.code
                await asyncio.sleep(backoff.next_delay())
            else:
                return
        _log.warning("sessions.close_failed", connection_id=session.connection_id, code=code)
