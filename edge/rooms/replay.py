"""`resume`: what a client missed, read from the log and sent in order, and then live again.

The connection is put on hold first, so that live frames gather while the log is read; the caller answers, and
`release` lets go what is newer than the log was. Nothing falls between, and nothing comes twice.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from edge import metrics
from edge.protocol.events import frame_for
from edge.pubsub.channels import Channels, chat_channel
from edge.rooms.deliveries import DeliveryReports
from edge.rooms.fanout import RECEIPTS_MEMBERS
from edge.rooms.permission import JoinPermission
from edge.rooms.rooms import Rooms
from edge.websocket.connection import Connection, framed
from mesh.errors import Internal, ParleyError, PermissionDenied, from_item_error
from parley.chat.v1.chat_service_pb2 import Cursor, LogSlice, ReadLogRequest
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from parley.common.v1.chat_pb2 import ChatHead
from parley.common.v1.error_pb2 import ErrorReason
from parley.events.v1.chat_event_pb2 import ChatEvent

_WINDOW: Final = 200  # entries of one chat in one ReadLog
_AT_ONCE: Final = 16  # ReadLog calls of this edge: a crowd that comes back must not overrun chat_service
_STRIDE_BYTES: Final = 64 * 1024  # sent before waiting for the client to take it


@dataclass(slots=True)
class Progress:
    """How far one chat has come. `cursor` is what the client has by now, `head` where the log stands.

    With an `error` nothing more can be told. `was_live`: the connection was in the room before.
    """

    cursor: Cursor
    was_live: bool
    number: int = 0
    head: ChatHead = field(default_factory=ChatHead)
    complete: bool = False
    reset: bool = False
    error: ParleyError | None = None

    @property
    def unfinished(self) -> bool:
        """There is more to read."""
        return not (self.complete or self.reset or self.error)


class Replay:
    """Sends what connections missed. `most_entries` is about how many one resume gets."""

    def __init__(
        self,
        rooms: Rooms,
        channels: Channels,
        chats: ChatServiceStub,
        deliveries: DeliveryReports,
        permission: JoinPermission,
        *,
        most_entries: int,
    ) -> None:
        self._rooms = rooms
        self._channels = channels
        self._chats = chats
        self._deliveries = deliveries
        self._permission = permission
        self._most_entries = most_entries
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def run(self, connection: Connection, cursors: Iterable[Cursor]) -> list[Progress]:
        """Sends what came after `cursors`, one per chat; tell the client how far it came, then `release`.

        Raises:
            ParleyError: nothing was sent, Redis or chat_service cannot be reached.
        """
        named = {cursor.chat_id: cursor for cursor in cursors}
        refused = await self._permission.refusals(connection.user_id, named)
        if not connection.open:
            return []
        strangers = [
            Progress(named.pop(chat), was_live=False, error=error) for chat, error in refused.items()
        ]
        if not named:
            return strangers
        return [*strangers, *await self._run(connection, named.values())]

    async def _run(self, connection: Connection, cursors: Iterable[Cursor]) -> list[Progress]:
        chats = [
            Progress(cursor, was_live=self._rooms.begin_replay(connection, cursor.chat_id))
            for cursor in cursors
        ]
        try:
            await self._channels.confirmed(chat_channel(chat.cursor.chat_id) for chat in chats)
            await self._read(connection, chats)
        except ParleyError as error:
            told = [chat for chat in chats if chat.head.chat_id or chat.error is not None]
            for chat in chats:
                if chat.unfinished:
                    chat.error = error
            if not told:
                self._end_holds(connection, chats)
                raise
        except BaseException:
            self._end_holds(connection, chats)
            raise
        self._end_holds(connection, [chat for chat in chats if chat.error is not None])
        return chats

    def release(self, connection: Connection, chats: Iterable[Progress]) -> None:
        """Lets the held frames go, those that are newer than the heads."""
        for chat in chats:
            if chat.error is None:
                self._rooms.release(connection, chat.head)

    async def _read(self, connection: Connection, chats: list[Progress]) -> None:
        left = self._most_entries
        while left > 0 and connection.open:
            waiting = [chat for chat in chats if chat.unfinished]
            if not waiting:
                return
            request = ReadLogRequest(
                user_id=connection.user_id,
                cursors=[chat.cursor for chat in waiting],
                limit=min(_WINDOW, left),
            )
            async with self._at_once:
                response = await self._chats.ReadLog(request)
            for chat, part in zip(waiting, response.slices, strict=True):
                left -= len(part.entries)
                await self._take(connection, chat, part)

    async def _take(self, connection: Connection, chat: Progress, part: LogSlice) -> None:
        if part.HasField("error"):
            chat.error = from_item_error(part.error)
            return
        if part.head.chat_id != chat.cursor.chat_id:
            chat.error = Internal(ErrorReason.ERROR_REASON_INTERNAL, "the log was answered without its head")
            return
        chat.head = part.head
        chat.reset = part.reset
        if part.reset:
            chat.cursor = Cursor(chat_id=chat.cursor.chat_id, epoch=part.head.epoch, seq=part.head.seq)
            chat.number = part.head.number
            return
        if await self._send(connection, chat, part.entries):
            self._note_delivery(connection, part)
            chat.complete = part.complete
            if part.complete:
                chat.cursor.epoch, chat.cursor.seq = part.head.epoch, part.head.seq
                chat.number = part.head.number

    async def _send(self, connection: Connection, chat: Progress, entries: Iterable[ChatEvent]) -> bool:
        size = 0
        for entry in entries:
            # Asked each time: the user may be removed while we wait.
            if not self._rooms.has(connection, chat.cursor.chat_id):
                break
            frame = frame_for(entry)
            if frame is not None:  # else a void position, or a kind that this version does not know
                data = framed(connection.codec, frame)
                size += len(data)
                connection.send(data)
                metrics.REPLAYED.inc()
            chat.cursor.epoch, chat.cursor.seq = entry.epoch, entry.seq
            chat.number = entry.number
            if size > _STRIDE_BYTES:
                size = 0
                await connection.drained()
                await asyncio.sleep(0)
        await connection.drained()
        if not self._rooms.has(connection, chat.cursor.chat_id):
            chat.error = PermissionDenied(ErrorReason.ERROR_REASON_NOT_A_MEMBER, "not a member any more")
            return False
        return True

    def _note_delivery(self, connection: Connection, part: LogSlice) -> None:
        if part.head.member_count > RECEIPTS_MEMBERS:
            return
        for entry in reversed(part.entries):
            if entry.HasField("message") and entry.message.sender_id != connection.user_id:
                self._deliveries.note(connection.user_id, part.chat_id, entry.message.id, entry.seq)
                return

    def _end_holds(self, connection: Connection, chats: Iterable[Progress]) -> None:
        """Has everything go on as before: live chats stay so, unless they are lost for good."""
        for chat in chats:
            if chat.was_live and (chat.error is None or chat.error.retryable):
                self._rooms.abort_replay(connection, chat.cursor.chat_id)
            else:
                self._rooms.leave(connection, chat.cursor.chat_id)
