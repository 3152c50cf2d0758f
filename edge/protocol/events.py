"""What happened in a chat, as the frame that tells clients of it. Pure: protobuf in, frame out."""

from collections.abc import Callable, Mapping
from typing import Final

from edge.protocol.chats import chat_json
from edge.protocol.errors import error_json
from mesh.clock import to_rfc3339
from mesh.errors import ParleyError
from parley.common.v1.chat_pb2 import ChatHead
from parley.edge.v1 import frames, logged_events
from parley.edge.v1.conversions import chat_head_from_pb
from parley.edge.v1.frames import ServerFrame
from parley.events.v1.chat_event_pb2 import ChatEvent
from parley.events.v1.user_event_pb2 import UserEvent


def frame_for(event: ChatEvent) -> ServerFrame | None:
    """The frame of an event; None for a kind that this version does not know."""
    show = _FRAMES.get(event.WhichOneof("body") or "")
    return None if show is None else show(event)


def joined_data(heads: list[ChatHead], refused: list[tuple[str, ParleyError]]) -> frames.Joined:
    """What comes of `join-chats`."""
    return frames.Joined(
        chats=[chat_head_from_pb(head) for head in heads],
        errors=[frames.RefusedChat(chat_id=chat, error=error_json(error)) for chat, error in refused],
    )


def error_frame(frame_id: frames.FrameId | None, error: ParleyError) -> frames.ErrorFrame:
    """A command was refused, or a frame was not understood."""
    return frames.ErrorFrame(frame_id, error_json(error))


def typing_frame(chat_id: str, user_id: str, *, is_typing: bool) -> ServerFrame:
    """Somebody types, or stopped."""
    return frames.UserTypingFrame(frames.UserTyping(chat_id=chat_id, user_id=user_id, is_typing=is_typing))


def resync_frame(chat_id: str) -> ServerFrame:
    """There may be a gap in this chat."""
    return frames.ResyncFrame(frames.Resync(chat_id=chat_id))


def chat_created_frame(event: UserEvent) -> ServerFrame:
    """A `chat_added` event, for the user it concerns."""
    added = event.chat_added
    return frames.ChatCreatedFrame(frames.ChatCreated(chat=chat_json(added.chat), actor_id=added.actor_id))


def removed_frame(event: UserEvent) -> ServerFrame:
    """A `chat_removed` event, for the user it concerns: like `member-removed`, without a position."""
    removed = event.chat_removed
    return frames.MemberRemovedFrame(
        frames.MemberRemoved(
            chat_id=removed.chat_id,
            seq=0,
            number=0,
            epoch=0,
            actor_id=removed.actor_id,
            occurred_at=to_rfc3339(event.occurred_at_ms),
            user_id=event.user_id,
            promoted_id=None,
        )
    )


def _typing(event: ChatEvent) -> ServerFrame:
    return typing_frame(event.chat_id, event.typing.user_id, is_typing=event.typing.is_typing)


def _read(event: ChatEvent) -> ServerFrame:
    read = event.read
    data = frames.ReadUpTo(
        chat_id=event.chat_id,
        message_id=read.message_id,
        seq=read.seq,
        read_by=read.user_id,
        read_at=to_rfc3339(event.occurred_at_ms),
    )
    return frames.ChatReadFrame(data) if read.whole_chat else frames.MessageReadFrame(data)


def _delivered(event: ChatEvent) -> ServerFrame:
    return frames.MessageDeliveredFrame(
        frames.DeliveredUpTo(
            chat_id=event.chat_id,
            message_id=event.delivered.message_id,
            seq=event.delivered.seq,
            user_id=event.delivered.user_id,
            delivered_at=to_rfc3339(event.occurred_at_ms),
        )
    )


def _presence(event: ChatEvent) -> ServerFrame:
    presence = event.presence
    data = frames.Presence(user_id=presence.user_id, last_seen=to_rfc3339(presence.last_seen_ms))
    return frames.UserOnlineFrame(data) if presence.online else frames.UserOfflineFrame(data)


_FRAMES: Final[Mapping[str, Callable[[ChatEvent], ServerFrame]]] = {
    **logged_events.FRAMES,
    "typing": _typing,
    "read": _read,
    "delivered": _delivered,
    "presence": _presence,
}
