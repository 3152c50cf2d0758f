"""From Redis to the rooms: each event is decoded once, framed once, and handed to everyone it concerns."""

from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.message import DecodeError

from edge import metrics
from edge.protocol.events import frame_for, typing_frame
from edge.pubsub.channels import chat_of, user_of
from edge.rooms.deliveries import DeliveryReports
from edge.rooms.rooms import Broadcast, Room, Rooms, typing_key
from edge.rooms.typing_timers import TypingTimers
from edge.websocket.connection import Connection
from mesh import tracing
from mesh.logs import get_logger
from parley.edge.v1.frames import ServerFrame
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.user_event_pb2 import UserEvent

# Rooms up to this many members get delivery receipts; in larger ones nobody could read them.
RECEIPTS_MEMBERS: Final = 32

_log = get_logger()


class Fanout:
    """Takes what the subscriber receives.

    `on_user_event` gets what concerns single users, `on_other` the payloads of all other channels.
    """

    def __init__(
        self,
        rooms: Rooms,
        deliveries: DeliveryReports,
        *,
        on_user_event: Callable[[UserEvent], None],
        on_other: Callable[[bytes], None],
    ) -> None:
        self._rooms = rooms
        self._deliveries = deliveries
        self._on_user_event = on_user_event
        self._on_other = on_other
        self._typing = TypingTimers(self._typing_ran_out)

    def on_message(self, channel: bytes, payload: bytes) -> None:
        """One message of Redis."""
        try:
            if (chat_id := chat_of(channel)) is not None:
                room = self._rooms.get(chat_id)
                if room is not None:
                    self._on_chat_event(room, ChatEvent.FromString(payload))
            elif user_of(channel) is not None:
                self._on_user_event(UserEvent.FromString(payload))
            else:
                self._on_other(payload)
        except (DecodeError, ValueError, OverflowError):
            # One bad event, from a newer or a broken publisher, must not end the delivery of all others.
            _log.exception("fanout.bad_event", channel=channel.decode(errors="replace"), size=len(payload))

    def on_gap(self) -> None:
        """Events may have been missed in every chat: tells everyone to resync."""
        for room in self._rooms:
            room.forget()
            room.resync()

    def on_gap_in(self, channels: Iterable[bytes]) -> set[str]:
        """Events may have been missed in these channels alone; the users here whom that concerns."""
        users: set[str] = set()
        for channel in channels:
            if (user_id := user_of(channel)) is not None:
                users.add(user_id)
            chat_id = chat_of(channel)
            if chat_id is not None and (room := self._rooms.get(chat_id)) is not None:
                room.forget()
                room.resync()
                users.update(connection.user_id for connection in room.everyone())
        return users

    def close(self) -> None:
        """Ends the timers."""
        self._typing.close()

    def _on_chat_event(self, room: Room, event: ChatEvent) -> None:
        kind = event.WhichOneof("body")
        metrics.EVENTS.labels(kind or "unknown").inc()
        if event.seq and not room.follows(event.epoch, event.seq):
            metrics.HOLES.inc()
            _log.warning("fanout.hole", chat_id=room.chat_id, epoch=event.epoch, seq=event.seq)
            room.resync()
        match kind:
            case "message":
                with tracing.within(_span(room, event)):
                    self._message(room, event)
            case "typing":
                self._on_typing(room, event)
            case "presence":
                self._presence(room, event)
            case "delivered":
                self._to_others(room, event, event.delivered.user_id)
            case "member_removed":
                self._member_removed(room, event)
            case "members_added":
                room.member_count += len(event.members_added.members)
                self._to_all(room, event)
            case _:
                self._to_all(room, event)

    def _to_all(self, room: Room, event: ChatEvent) -> None:
        frame = frame_for(event)
        if frame is not None:
            room.broadcast(Broadcast(frame, event.epoch, event.seq))

    def _to_others(self, room: Room, event: ChatEvent, user_id: str) -> None:
        frame = frame_for(event)
        if frame is not None:
            self._send_to_others(room, frame, user_id)

    @staticmethod
    def _send_to_others(room: Room, frame: ServerFrame, user_id: str, key: str = "") -> None:
        room.broadcast_to(Broadcast(frame, key=key), lambda connection: connection.user_id != user_id)

    def _message(self, room: Room, event: ChatEvent) -> None:
        self._end_typing(room, event.message.sender_id)
        self._to_all(room, event)
        if room.member_count <= RECEIPTS_MEMBERS:
            message = event.message
            for connection in room.connections:
                if connection.user_id != message.sender_id and connection.open and not connection.congested:
                    self._deliveries.note(connection.user_id, message.chat_id, message.id, event.seq)

    def _on_typing(self, room: Room, event: ChatEvent) -> None:
        user_id = event.typing.user_id
        if not event.typing.is_typing:
            self._end_typing(room, user_id)
            return
        self._typing.start(room.chat_id, user_id)
        if user_id not in room.typists:
            room.typists[user_id] = None
            self._tell_typing(room, user_id, is_typing=True)

    def _end_typing(self, room: Room, user_id: str) -> None:
        if user_id in room.typists:
            del room.typists[user_id]
            self._typing.cancel(room.chat_id, user_id)
            self._tell_typing(room, user_id, is_typing=False)

    def _typing_ran_out(self, chat_id: str, user_id: str) -> None:
        room = self._rooms.get(chat_id)
        if room is not None:
            self._end_typing(room, user_id)

    def _tell_typing(self, room: Room, user_id: str, *, is_typing: bool) -> None:
        frame = typing_frame(room.chat_id, user_id, is_typing=is_typing)
        self._send_to_others(room, frame, user_id, key=typing_key(room.chat_id, user_id))

    def _presence(self, room: Room, event: ChatEvent) -> None:
        # The event comes through every chat it lists. A connection takes it from the first of them that it is
        # in.
        frame = frame_for(event)
        if frame is None:
            return
        earlier: list[Room] = []
        for chat_id in event.presence.chat_ids:
            if chat_id == room.chat_id:
                break
            other = self._rooms.get(chat_id)
            if other is not None:
                earlier.append(other)
        user_id = event.presence.user_id

        def accepts(connection: Connection) -> bool:
            return connection.user_id != user_id and not any(connection in other for other in earlier)

        room.broadcast_to(Broadcast(frame, key=f"presence {user_id}"), accepts)

    def _member_removed(self, room: Room, event: ChatEvent) -> None:
        room.member_count = max(0, room.member_count - 1)
        self._end_typing(room, event.member_removed.user_id)
        self._to_all(room, event)
        # The user's own channel says the same; whichever comes first ends the delivery.
        for connection in room.everyone():
            if connection.user_id == event.member_removed.user_id:
                self._rooms.leave(connection, room.chat_id)


def _span(room: Room, event: ChatEvent) -> tracing.Span | None:
    if not tracing.on() or not event.traceparent:
        return None
    return tracing.follow(
        "deliver to room",
        event.traceparent,
        kind=tracing.Kind.CONSUMER,
        attributes={
            "parley.chat_id": event.chat_id,
            "parley.message_id": event.message.id,
            "parley.seq": event.seq,
            "parley.connections": len(room.connections),
        },
    )
