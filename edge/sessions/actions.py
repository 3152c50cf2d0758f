"""The commands of a client, carried out for one connection."""

from collections.abc import Callable

from edge import metrics
from edge.identity import Identity
from edge.protocol.errors import error_json
from edge.protocol.events import error_frame, joined_data
from edge.protocol.request import Request
from edge.rooms.replay import Progress
from edge.sessions.chats import SessionChats
from edge.sessions.services import SessionServices
from edge.websocket.connection import Connection
from mesh import tracing
from mesh.clock import to_rfc3339
from mesh.errors import Internal, ParleyError, PermissionDenied, Unavailable
from mesh.logs import get_logger
from parley.chat.v1 import chat_service_pb2 as pb
from parley.common.v1.error_pb2 import ErrorReason
from parley.edge.v1 import frames
from parley.edge.v1.close_codes import CloseCode
from parley.edge.v1.conversions import MESSAGE_TYPE_NUMBERS
from parley.edge.v1.frames import FrameId

_log = get_logger()


class Actions:
    """Carries out what the client on `connection` asks for, and answers.

    `on_refresh` is given the identity of a new token; it gives the milliseconds until that ends.
    """

    __slots__ = (
        "_chats",
        "_connection",
        "_finishing",
        "_on_refresh",
        "_sends",
        "_services",
        "_stub",
    )

    def __init__(
        self,
        connection: Connection,
        services: SessionServices,
        chats: SessionChats,
        on_refresh: Callable[[Identity], int],
    ) -> None:
        self._connection = connection
        self._chats = chats
        self._on_refresh = on_refresh
        self._services = services
        self._stub = services.chats
        self._sends = 0  # messages without an answer so far
        self._finishing = False

    def finish(self) -> None:
        """Takes no more messages, and closes with 1001 once those in flight have their answers."""
        self._finishing = True
        self._close_if_finished()

    async def run(self, request: Request) -> None:
        """Carries out a command, and answers it."""
        if isinstance(request.command, frames.SendMessage):
            self.send_message(request, request.command)
            return
        with tracing.within(self._services.traces.begin(request.event, request.traceparent)) as span:
            await self._run(request, span)

    async def _run(self, request: Request, span: tracing.Span | None) -> None:
        try:
            await self._dispatch(request.id, request.command)
        except ParleyError as error:
            self.refuse_request(request, error, span)
        except Exception:  # noqa: BLE001 - a defect in one command must not end the session
            _log.exception("session.command_failed", connection_id=self._connection.id, command=request.event)
            defect = Internal(ErrorReason.ERROR_REASON_INTERNAL, "this command met a defect")
            self.refuse_request(request, defect, span)

    async def _dispatch(self, frame_id: FrameId | None, command: frames.Command) -> None:
        match command:
            case frames.JoinChats():
                await self._join_chats(frame_id, command)
            case frames.LeaveChats():
                self._leave_chats(frame_id, command)
            case frames.Resume():
                await self._resume(frame_id, command)
            case frames.RefreshToken():
                await self._refresh_token(frame_id, command)
            case frames.SetTyping():
                await self._set_typing(frame_id, command)
            case frames.MarkRead():
                position = await self._mark_read(command.chat_id, command.message_id)
                self._answer(frames.MarkReadAck(frame_id, position))
            case frames.MarkChatRead():
                position = await self._mark_read(command.chat_id)
                self._answer(frames.MarkChatReadAck(frame_id, position))

    def send_message(self, request: Request, command: frames.SendMessage) -> None:
        """Queues a message; its answer comes when its outcome is known."""
        frame_id = request.id
        if self._finishing:
            self.refuse(frame_id, Unavailable(ErrorReason.ERROR_REASON_DRAINING, "this edge is going away"))
            return
        self._sends += 1
        item = pb.SendItem(read_seq=command.read_seq)
        message = item.message
        message.sender_id = self._connection.user_id
        message.chat_id = command.chat_id
        message.type = MESSAGE_TYPE_NUMBERS[command.type]
        message.content = command.content
        message.client_msg_id = command.client_msg_id
        if command.mentions:
            message.mentions.extend(command.mentions)
        span = self._services.traces.begin(
            request.event, request.traceparent, {"parley.chat_id": command.chat_id}
        )
        if span is not None:
            item.traceparent = span.traceparent
        self._services.sends.submit(item, lambda outcome: self._sent(frame_id, outcome, span), span)

    def refuse_request(self, request: Request, error: ParleyError, span: tracing.Span | None = None) -> None:
        """Answers with an error, but not to typing without an id: who gives none wants no answer."""
        if request.id is not None or not isinstance(request.command, frames.SetTyping):
            self.refuse(request.id, error, span)
            return
        if span is not None:
            span.fail(error)
        metrics.ERRORS.labels(error.code).inc()

    def refuse(self, frame_id: FrameId | None, error: ParleyError, span: tracing.Span | None = None) -> None:
        """Answers with an error."""
        if span is not None:
            span.fail(error)
        metrics.ERRORS.labels(error.code).inc()
        self._connection.tell(error_frame(frame_id, error))

    def _sent(
        self,
        frame_id: FrameId | None,
        outcome: pb.SendAccepted | ParleyError,
        span: tracing.Span | None,
    ) -> None:
        self._sends -= 1
        if isinstance(outcome, ParleyError):
            self.refuse(frame_id, outcome, span)
        else:
            self._accepted(frame_id, outcome)
            if span is not None:
                span.set("parley.message_id", outcome.message_id)
                span.set("parley.seq", outcome.seq)
        if span is not None:
            span.end()
        self._close_if_finished()

    def _close_if_finished(self) -> None:
        if self._finishing and not self._sends:
            self._connection.close(CloseCode.GOING_AWAY)

    def _accepted(self, frame_id: FrameId | None, outcome: pb.SendAccepted) -> None:
        data = frames.Sent(
            message_id=outcome.message_id,
            chat_id=outcome.chat_id,
            seq=outcome.seq,
            number=outcome.number,
            epoch=outcome.epoch,
            created_at=to_rfc3339(outcome.created_at_ms),
            duplicate=outcome.duplicate,
        )
        self._answer(frames.SendMessageAck(frame_id, data))

    async def _join_chats(self, frame_id: FrameId | None, command: frames.JoinChats) -> None:
        joined = await self._chats.join_named(command.chat_ids)
        self._answer(frames.JoinChatsAck(frame_id, joined_data(joined.heads, joined.refused)))
        self._chats.release(joined)

    def _leave_chats(self, frame_id: FrameId | None, command: frames.LeaveChats) -> None:
        self._chats.leave(command.chat_ids)
        self._answer(frames.LeaveChatsAck(frame_id, frames.Left(chat_ids=command.chat_ids)))

    async def _resume(self, frame_id: FrameId | None, command: frames.Resume) -> None:
        cursors = [
            pb.Cursor(chat_id=cursor.chat_id, seq=cursor.seq, epoch=cursor.epoch) for cursor in command.chats
        ]
        chats = await self._services.replay.run(self._connection, cursors)
        self._chats.wanted(cursor.chat_id for cursor in command.chats)
        self._answer(frames.ResumeAck(frame_id, _resumed(chats)))
        self._services.replay.release(self._connection, chats)

    async def _refresh_token(self, frame_id: FrameId | None, command: frames.RefreshToken) -> None:
        identity = await self._services.verifier.verify(command.token)
        if identity.user_id != self._connection.user_id:
            raise PermissionDenied(
                ErrorReason.ERROR_REASON_PERMISSION_DENIED, "the token is another user's: connect with it"
            )
        await self._services.revocations.check(identity)
        expiry = frames.TokenExpiry(expires_in_ms=self._on_refresh(identity))
        self._answer(frames.RefreshTokenAck(frame_id, expiry))

    async def _set_typing(self, frame_id: FrameId | None, command: frames.SetTyping) -> None:
        request = pb.SetTypingRequest(
            user_id=self._connection.user_id,
            connection_id=self._connection.id,
            chat_id=command.chat_id,
            is_typing=command.is_typing,
        )
        await self._stub.SetTyping(request)
        if frame_id is not None:  # typing is frequent, and needs no answer
            self._answer(frames.TypingAck(frame_id, frames.Done()))

    async def _mark_read(self, chat_id: str, message_id: str = "") -> frames.ReadPosition:
        answer = await self._stub.MarkRead(
            pb.MarkReadRequest(user_id=self._connection.user_id, chat_id=chat_id, message_id=message_id)
        )
        return frames.ReadPosition(chat_id=chat_id, seq=answer.seq, unread=answer.unread)

    def _answer(self, ack: frames.Ack) -> None:
        self._connection.tell(ack)


def _resumed(chats: list[Progress]) -> frames.Resumed:
    return frames.Resumed(
        chats=[
            frames.ResumedChat(
                chat_id=chat.cursor.chat_id,
                seq=chat.cursor.seq,
                number=chat.number,
                epoch=chat.cursor.epoch,
                unread=chat.head.unread,
                complete=chat.complete,
                reset=chat.reset,
            )
            for chat in chats
            if chat.error is None
        ],
        errors=[
            frames.RefusedChat(chat_id=chat.cursor.chat_id, error=error_json(chat.error))
            for chat in chats
            if chat.error is not None
        ],
    )
